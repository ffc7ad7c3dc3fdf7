import { Command } from 'commander';
import { ConfigError } from '../../base/errors.ts';
import { hasErrors } from '../../doctor/checks/finding.ts';
import type { Examination } from '../../doctor/examination.ts';
import { examineHosts } from '../../doctor/examine-hosts.ts';
import { examineThisMachine } from '../../doctor/examine-this-machine.ts';
import type { Patient } from '../../doctor/remote-host.ts';
import { readHosts, withSsh } from './hosts-option.ts';
import { suggestion } from '../../base/closest-name.ts';
import { parseAddress } from '../../transport/parse-address.ts';
import type { Address } from '../../transport/tcp.ts';
import { parsePort } from '../shell/arguments.ts';
import type { CommandContext } from '../shell/command-context.ts';
import { EXIT } from '../shell/exit-codes.ts';
import { helpText } from '../shell/help.ts';
import { jsonText } from '../shell/json-output.ts';
import { writeResult } from '../shell/output.ts';
import { paint } from '../shell/terminal.ts';
import { doctorText } from '../texts/doctor-text.ts';

const HELP = `
Looks at what training needs on this machine, and says of everything that is wrong why it is so,
and what mends it: Node.js, Lockstep, devices, cores, memory, disks, clock, sleep, limits,
programs, networks. With --join it asks the coordinator there, without joining it. With hosts
it looks at those over ssh, and at the links between each two of them.

Exit codes: 0 nothing keeps Lockstep from working, 1 something does, 2 wrong flags.`;

interface Flags {
  readonly hosts?: string;
  readonly join?: string;
  readonly host?: string;
  readonly port?: string;
  readonly linkFile?: string;
  readonly outDir: string;
  readonly json?: boolean;
}

/** `lockstep doctor`: what is wrong with this machine, why, and what mends it. */
export function doctorCommand(context: CommandContext): Command {
  return new Command('doctor')
    .description('find what is wrong with machines and links')
    .argument('[host...]', 'machines to look at over ssh; without one this machine')
    .option('--hosts <file>', 'look at the hosts of this file, or at those named of them')
    .option('--join <host:port>', 'the coordinator that a worker here is to join')
    .option('--link-file <file>', 'the file with the link to join it')
    .option('--host <address>', 'where a coordinator here is to listen')
    .option('--port <port>', 'the port for that')
    .option('--out-dir <folder>', 'the folder of the runs', 'experiments')
    .option('--json', 'print one JSON document')
    .addHelpText('after', helpText(HELP))
    .action(async (targets: readonly string[], flags: Flags) => {
      const examination =
        targets.length === 0 && flags.hosts === undefined
          ? await lookHere(context, flags)
          : await lookAt(context, targets, flags.hosts);
      tell(context, examination, flags.json === true);
    });
}

async function lookHere({ environment }: CommandContext, flags: Flags): Promise<Examination> {
  const { join, linkFile, outDir } = flags;
  const door = doorwayOf(flags);
  return examineThisMachine({
    environment,
    runs: outDir,
    ...(join !== undefined && { join: addressOf(join) }),
    ...(linkFile !== undefined && { linkFile }),
    ...(door !== undefined && { doorway: door }),
  });
}

async function lookAt(
  context: CommandContext,
  targets: readonly string[],
  file: string | undefined,
): Promise<Examination> {
  const patients = file === undefined ? targets.map(plainHost) : hostsOf(file, targets);
  return withSsh(context, async (ssh) => examineHosts(ssh, patients));
}

function plainHost(target: string): Patient {
  if (/^[\w[][\w@.:%[\]-]*$/.test(target)) return { name: target, target };
  throw new ConfigError(`host: expected a name or an address for ssh, got "${target}"`);
}

/** All hosts of a file, or those of them that are named. */
function hostsOf(file: string, names: readonly string[]): readonly Patient[] {
  const { hosts } = readHosts(file);
  const unknown = names.find((name) => !hosts.some((host) => host.name === name));
  if (unknown !== undefined)
    throw new ConfigError(
      `host: expected one of ${file}, got "${unknown}". ` +
        suggestion(
          unknown,
          hosts.map(({ name }) => name),
        ),
    );
  return names.length === 0 ? hosts : hosts.filter(({ name }) => names.includes(name));
}

function tell(context: CommandContext, examination: Examination, isJson: boolean): void {
  const colours = paint(context.environment, process.stdout);
  writeResult(isJson ? jsonText(examination) : doctorText(examination, colours));
  if (hasErrors(examination.findings)) context.setExitCode(EXIT.failed);
}

function addressOf(text: string): Address {
  const address = parseAddress(text);
  if (address !== undefined) return address;
  throw new ConfigError(`--join: expected host:port, got "${text}". Example: --join desk:29500`);
}

function doorwayOf({ host, port }: Flags): Address | undefined {
  if (host === undefined && port === undefined) return undefined;
  return { host: host ?? '127.0.0.1', port: port === undefined ? 0 : parsePort(port) };
}
