import { Command, Option } from 'commander';
import { ConfigError } from '../../base/errors.ts';
import { BODY_NAMES, type BodyName } from '../../collectives/body-names.ts';
import type { Address } from '../../transport/tcp.ts';
import { parseAddress } from '../../transport/parse-address.ts';
import {
  benchCollective,
  type BenchCollectiveResult,
} from '../../validate/bench/bench-collective.ts';
import type { CrewHosts } from '../../validate/bench/bench-collective-crew.ts';
import type { CollectiveFigures } from '../../validate/bench/bench-collective-figures.ts';
import { checkWritable, saveOutput } from '../../validate/results/output-file.ts';
import { EXIT } from '../shell/exit-codes.ts';
import { withInterrupt } from '../shell/interrupt.ts';
import { parseNumber, parseWhole } from '../shell/arguments.ts';
import { Product } from '../shell/product.ts';
import { paint, Terminal } from '../shell/terminal.ts';
import { jsonText, printJson } from '../shell/json-output.ts';
import type { CommandContext } from '../shell/command-context.ts';
import { helpText } from '../shell/help.ts';

const HELP = `
Starts worker processes on this machine, which sum buffers the way training sums gradients: 32-bit
integers, added up on their way around a ring of connections, or with --collective shm in memory
that all of them share. Every all-reduce stands between two barriers, and every element of every
sum is checked. Its time is that of the slowest worker.

GB/s are bus bandwidth, 2 (n - 1) / n x bytes / seconds / 10^9, comparable between numbers of
workers. Buffers of 64 KiB and more go through shared memory on one machine; with --host and an
address of this machine that is not loopback's they go over TCP.

Between machines, start it once on each, with the same flags but for --rank, which counts from 0:
--hosts has the address of each and a free port there. Every one of them shows the result. With
--collective hosts those at one address add up in memory that they share, and the first of each
adds up with the others in a ring.

Examples:
  lockstep bench-collective --workers 4 --sizes 1,16,256 --output sums.json
  lockstep bench-collective --hosts 192.168.1.10:7070,192.168.1.11:7070 --rank 0

Exit codes: 0 done, 1 failed, 2 a flag that cannot be used or sizes that do not fit, 3 measured, but
the result is in another place than asked for, 130 interrupted.`;

const MAX_WORKERS = 64;
const MAX_ITERATIONS = 1_000_000;
const MAX_SIZE_MB = 1024;
const MAX_SIZES = 32;

interface Flags {
  readonly workers: string;
  readonly sizeMb: string;
  readonly sizes?: string;
  readonly iterations: string;
  readonly backend: string;
  readonly collective: BodyName;
  readonly host: string;
  readonly hosts?: string;
  readonly rank?: string;
  readonly output?: string;
  readonly json?: boolean;
}

/** `lockstep bench-collective`: how fast workers sum their gradients. */
export function benchCollectiveCommand(context: CommandContext): Command {
  return new Command('bench-collective')
    .description('measure the all-reduce between worker processes')
    .option('--workers <count>', 'worker processes, at least 2', '2')
    .option('--size-mb <size>', 'size of the buffer that is reduced (MiB)', '256')
    .option('--sizes <list>', 'several sizes, with commas between them, instead of --size-mb')
    .option('--iterations <count>', 'measured all-reduces of each size', '50')
    .addOption(
      new Option('--backend <name>', "MiniCluster's; Lockstep's own is measured")
        .choices(['gloo', 'nccl', 'star'])
        .default('gloo'),
    )
    .addOption(
      new Option('--collective <name>', 'all-reduce to measure')
        .choices(BODY_NAMES)
        .default('ring' satisfies BodyName),
    )
    .option('--host <address>', 'address of this machine to meet at', '127.0.0.1')
    .option('--hosts <list>', 'one worker on each of several machines: host:port,host:port,...')
    .option('--rank <rank>', 'which of --hosts this machine is, from 0')
    .option('--output <file>', 'write the result as JSON')
    .option('--json', 'print the result as one JSON document')
    .addHelpText('after', helpText(HELP))
    .action(async (flags: Flags) => bench(context, flags));
}

async function bench({ environment, setExitCode }: CommandContext, flags: Flags): Promise<void> {
  const hosts = parseHosts(flags);
  checkHosts(flags.collective, hosts);
  const workers = hosts?.doors.length ?? parseWhole('--workers', flags.workers, 2, MAX_WORKERS);
  const iterations = parseWhole('--iterations', flags.iterations, 1, MAX_ITERATIONS);
  const sizesMb = parseSizes(flags);
  if (flags.output !== undefined) checkWritable('--output', flags.output);
  const terminal = new Terminal(process.stderr, environment);
  const { dim } = paint(environment);
  terminal.line(
    dim(
      `note: --backend ${flags.backend} is not used; Lockstep's own all-reduce, ` +
        `${flags.collective}, is measured`,
    ),
  );
  if (hosts !== undefined) terminal.live(dim('waiting for the other machines of --hosts...'));
  const result = await withInterrupt(terminal, (signal) =>
    benchCollective({
      plan: { collective: flags.collective, workers, sizesMb, iterations },
      host: flags.host,
      hosts,
      signal,
      listener: {
        onSize: (sizeMb) => terminal.live(dim(`${sizeMb} MiB, ${iterations} iterations...`)),
        onNote: (note) => terminal.line(dim(note)),
      },
    }),
  );
  if (result === undefined) return setExitCode(EXIT.interrupted);
  terminal.end();
  const product = new Product(environment, flags);
  product.line(benchText(result, product.colours.bold));
  if (flags.output !== undefined) {
    const { path, problem } = saveOutput(flags.output, jsonText(result));
    terminal.line(`Result saved to: ${path}`);
    if (problem !== undefined) {
      terminal.line(`! ${problem}`);
      setExitCode(EXIT.filesFailed);
    }
  }
  if (flags.json === true) printJson(result);
}

/** Throws: ConfigError when there are no hosts to add up between. */
function checkHosts(collective: BodyName, hosts: CrewHosts | undefined): void {
  if (collective !== 'hosts') return;
  const addresses = new Set(hosts?.doors.map(({ host }) => host));
  if (addresses.size < 2)
    throw new ConfigError(
      '--collective hosts: expected --hosts with at least two addresses, each as often as it has ' +
        'workers. Use shm on one machine',
    );
}

/** The machines that take part, if there are several. */
function parseHosts({ hosts, rank }: Flags): CrewHosts | undefined {
  if (hosts === undefined && rank === undefined) return undefined;
  if (hosts === undefined) throw new ConfigError('--rank: expected --hosts with it');
  if (rank === undefined) throw new ConfigError('--hosts: expected --rank with it, from 0');
  const doors = hosts.split(',').map(parseDoor);
  if (doors.length < 2 || doors.length > MAX_WORKERS)
    throw new ConfigError(`--hosts: expected 2 to ${MAX_WORKERS} addresses, got ${doors.length}`);
  return { doors, rank: parseWhole('--rank', rank, 0, doors.length - 1) };
}

function parseDoor(text: string): Address {
  const address = parseAddress(text);
  if (address === undefined)
    throw new ConfigError(`--hosts: expected host:port, got "${text}". Example: desk:7070`);
  return address;
}

function parseSizes({ sizes, sizeMb }: Flags): number[] {
  if (sizes === undefined) return [parseSize('--size-mb', sizeMb)];
  const parsed = new Set(sizes.split(',').map((size) => parseSize('--sizes', size.trim())));
  if (parsed.size > MAX_SIZES)
    throw new ConfigError(`--sizes: expected at most ${MAX_SIZES} sizes, got ${parsed.size}`);
  return [...parsed];
}

function parseSize(flag: string, text: string): number {
  return parseNumber(flag, text, 0.001, MAX_SIZE_MB);
}

/** The result as a table. */
export function benchText(result: BenchCollectiveResult, bold: (text: string) => string): string {
  const { workers, results, machine, iterations } = result;
  const rows = [
    ['size', 'mean', 'p50', 'p99', 'min', 'mean time', 'p99 time', 'path'],
    ...results.map(rowOf),
  ];
  const widths = rows.reduce<number[]>(
    (widest, row) => row.map((cell, i) => Math.max(cell.length, widest[i] ?? 0)),
    [],
  );
  const lines = rows.map((row) =>
    row
      .map((cell, i) => (i === row.length - 1 ? cell : cell.padStart(widths[i] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
  return [
    bold(
      `All-reduce (${result.backend}), ${workers} workers, bus bandwidth in GB/s of ${iterations} ` +
        'iterations',
    ),
    ...lines,
    `every sum was checked; ${machine.hardware_name}, ${machine.cores} cores, ${machine.os}`,
  ].join('\n');
}

function rowOf(figures: CollectiveFigures): string[] {
  const { mean_bandwidth_gbps, p50_bandwidth_gbps, p99_bandwidth_gbps, min_bandwidth_gbps } =
    figures;
  const bandwidths = [
    mean_bandwidth_gbps,
    p50_bandwidth_gbps,
    p99_bandwidth_gbps,
    min_bandwidth_gbps,
  ];
  return [
    `${figures.size_mb} MiB`,
    ...bandwidths.map((value) => value.toFixed(3)),
    `${figures.mean_time_ms.toFixed(2)} ms`,
    `${figures.p99_time_ms.toFixed(2)} ms`,
    figures.path,
  ];
}
