import { availableParallelism } from 'node:os';
import { Command } from 'commander';
import { ConfigError } from '../base/errors.ts';
import { dataPlaces } from '../launch/data-source.ts';
import { parseAddress, runWorkerProcess } from '../launch/worker-process.ts';
import { EXIT } from './exit-codes.ts';
import type { CommandContext } from './train-command.ts';

const HELP = `
Joins a coordinator, takes its job (the model travels as an ONNX file, never as code), and computes until the
run is over. It can join at any time; if it loses the coordinator it looks for it again.

Exit codes: 0 the run is over, 1 refused, failed or no coordinator found, 2 wrong flags, 130 interrupted.`;

/** \`lockstep worker\`: one worker of a run that a coordinator elsewhere leads. */
export function workerCommand(context: CommandContext): Command {
  return new Command('worker')
    .description('join a run as a worker')
    .requiredOption('--join <host:port>', 'address of the coordinator')
    .option('--lanes <count>', 'compute threads (default: all cores)')
    .option('--rank <rank>', 'rank to ask for')
    .option('--data-dir <folder>', 'where the data set lies on this machine')
    .option('--retry <seconds>', 'how long to look for the coordinator', '60')
    .addHelpText('after', HELP)
    .action(async (flags: Record<string, string | undefined>) => work(context, flags));
}

async function work(context: CommandContext, flags: Record<string, string | undefined>): Promise<void> {
  const address = parseAddress(flags['join'] ?? '');
  if (address === undefined)
    throw new ConfigError(
      `--join: expected host:port, got "${flags['join'] ?? ''}". Example: --join desk:29500`,
    );
  const log = (line: string): void => void process.stderr.write(`${new Date().toISOString()} ${line}\n`);
  const controller = new AbortController();
  const interrupt = (): void => controller.abort();
  process.once('SIGINT', interrupt);
  process.once('SIGTERM', interrupt);
  const reason = await runWorkerProcess({
    address,
    lanes: wholeNumber('--lanes', flags['lanes'], 1, 1024) ?? availableParallelism(),
    rank: wholeNumber('--rank', flags['rank'], 0, 65_535) ?? null,
    places: dataPlaces(flags['dataDir'], context.environment),
    retryMs: 1000 * (wholeNumber('--retry', flags['retry'], 0, 86_400) ?? 60),
    log,
    signal: controller.signal,
  });
  log(`done: ${reason}`);
  if (controller.signal.aborted) context.setExitCode(EXIT.interrupted);
}

function wholeNumber(
  flag: string,
  text: string | undefined,
  least: number,
  most: number,
): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  throw new ConfigError(`${flag}: expected a whole number from ${least} to ${most}, got "${text}"`);
}
