import { closeSync, openSync, readSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { Command, Option } from 'commander';
import { accessFolder } from '../../access/home.ts';
import { looksLikeLink, MAX_LINK, parseJoinLink } from '../../access/join-link.ts';
import { ConfigError, invariant, messageOf } from '../../base/errors.ts';
import { suggestion } from '../../base/closest-name.ts';
import { dataPlaces } from '../../job/data-source.ts';
import { launchedRank } from '../../launch/group/launched-group.ts';
import { destinationOf, type JoinOptions } from '../../launch/join.ts';
import { ownAddresses } from '../../launch/own-addresses.ts';
import { runWorkerProcess } from '../../launch/worker-process.ts';
import { type Destination, placesText } from '../../transport/dial.ts';
import { parseAddress } from '../../transport/parse-address.ts';
import { DEVICE_NAMES, GPU_LANES } from '../../runtime/device.ts';
import { chooseDevices, defaultLanes, type DeviceChoice } from '../../runtime/devices.ts';
import { MAX_THROTTLE } from '../../runtime/throttle.ts';
import { checkFile } from '../shell/arguments.ts';
import { EXIT } from '../shell/exit-codes.ts';
import { ignoreCheckpointSignal, interruptible } from '../shell/interrupt.ts';
import type { CommandContext } from '../shell/command-context.ts';
import { logLine } from '../shell/output.ts';
import { helpText, withChoices } from '../shell/help.ts';

const HELP = `
Joins a coordinator, takes its job (the model travels as an ONNX file, never as code), and computes
until the run is over. It can join at any time; if it loses the coordinator it looks for it again.
Data are used if they are those of the coordinator, by their hash: files of --data-dir, the cache
and installed packages, whatever path the coordinator names, else what the coordinator sends, which
is kept in the cache (lockstep data received). A job that needs more memory than is free is refused.

Exit codes: 0 the run is over, 1 refused, failed or no coordinator found, 2 wrong flags or
data files, 130 interrupted.`;

const LINGERS = 'told to end: the coordinator may want the state first, or ends the run';

/** How long coordinators of the network have to answer. */
const DISCOVERY_MS = 1_500;

const JOIN_HELP = `
Joins a run on another machine: everything between the two is encrypted, and both ends prove that
they know the key. The token in the link is traded once for a credential of this machine, which is
kept in ~/.config/lockstep (or LOCKSTEP_HOME), readable to its owner only; \`lockstep token revoke\`
on the coordinator's machine ends it. A link that was broken over lines is read as one. Without a
link it lists the runs that are announced in this network.

Exit codes: 0 the run is over, 1 refused, failed or no coordinator found, 2 wrong link, flags or
data files, 130 interrupted.`;

/** \`lockstep worker\`: one worker of a run that a coordinator elsewhere leads. */
export function workerCommand(context: CommandContext): Command {
  const command = new Command('worker')
    .description('join a run as a worker, by an address')
    .requiredOption('--join <host:port>', 'address of the coordinator')
    .option('--insecure', 'join one of another machine without a key, in a network that you trust');
  return withWorkOptions(command)
    .addHelpText('after', helpText(HELP))
    .action(async (flags: Flags) => workAt(context, flags));
}

/** \`lockstep join\`: the same, by the link that a coordinator has printed. */
export function joinCommand(context: CommandContext): Command {
  const command = new Command('join')
    .description('join a run of another machine, by its link')
    .argument('[link...]', 'as the coordinator has printed it; "-" reads it from what is piped in')
    .option('--link-file <file>', 'file that holds the link');
  return withWorkOptions(command)
    .addHelpText('after', helpText(JOIN_HELP))
    .action(async (words: string[], flags: Flags) => joinBy(context, words, flags));
}

type Flags = Readonly<Record<string, string | undefined>>;

function withWorkOptions(command: Command): Command {
  return command
    .addOption(
      withChoices(new Option('--device <device>', 'where to compute'), DEVICE_NAMES).default('cpu'),
    )
    .option('--lanes <count>', 'compute threads (default: all cores; 1 with a GPU)')
    .option('--throttle <factor>', 'be so many times slower, to try unequal machines')
    .option('--rank <rank>', 'rank to ask for (default: that of mpirun, srun or torchrun, if any)')
    .option(
      '--data-dir <folder>',
      'where the data set lies on this machine, also a file or folder of your own',
    )
    .option(
      '--interface <names>',
      'network interfaces for other workers (default: those of GLOO_SOCKET_IFNAME, else the fastest)',
    )
    .option('--retry <seconds>', 'how long to look for the coordinator', '60')
    .option(
      '--grace <seconds>',
      'when told to end, go on for so long, unless the run ends before',
      '0',
    );
}

async function workAt(context: CommandContext, flags: Flags): Promise<void> {
  const { join = '', insecure } = flags;
  const address = parseAddress(join);
  // A link is not shown: it holds a token.
  if (looksLikeLink(join))
    throw new ConfigError(
      '--join: expected host:port, got a link. A link goes to `lockstep join`, without --join',
    );
  if (address === undefined)
    throw new ConfigError(`--join: expected host:port, got "${join}". Example: --join desk:29500`);
  const protection = insecure === undefined ? 'this-machine' : 'none';
  await work(context, flags, async () => ({ addresses: [address], protection }));
}

async function joinBy(
  context: CommandContext,
  words: readonly string[],
  flags: Flags,
): Promise<void> {
  // Nobody is to read the token in the list of processes.
  process.title = 'lockstep join';
  const link = parseJoinLink(await linkText(words, flags['linkFile'], context.environment));
  const folder = accessFolder(context.environment);
  await work(context, flags, async (options) =>
    destinationOf(link, { ...options, accessFolder: folder }),
  );
}

/** The words of the command line, a file, the environment, or what is piped in. */
async function linkText(
  words: readonly string[],
  file: string | undefined,
  environment: NodeJS.ProcessEnv,
): Promise<string> {
  if (file !== undefined) return linkInFile(file);
  if (words.length === 1 && words[0] === '-') return readStandardInput();
  const text = words.length > 0 ? words.join('') : environment['LOCKSTEP_LINK'];
  if (text !== undefined) return text;
  throw new ConfigError([
    'join: expected the link that `lockstep coordinator --lan` prints: as an argument, with ' +
      '--link-file, in LOCKSTEP_LINK, or "-" for what is piped in',
    ...(await whoIsThere()),
  ]);
}

/** What a file begins with, which may be a pipe, as far as a link can be long. */
function linkInFile(file: string): string {
  checkFile('--link-file', file);
  const bytes = Buffer.alloc(MAX_LINK + 1);
  let length = 0;
  try {
    const descriptor = openSync(file, 'r');
    try {
      for (let read = -1; read !== 0 && length < bytes.length; length += read)
        read = readSync(descriptor, bytes, length, bytes.length - length, null);
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    throw new ConfigError(`--link-file: ${file} cannot be read: ${messageOf(error)}`);
  }
  const text = bytes.toString('utf8', 0, length);
  if (text.trim() !== '') return text;
  throw new ConfigError(`--link-file: expected a link in ${file}, and it is empty. Copy it again.`);
}

/** Coordinators that announce themselves; what they say gives no right to join them. */
async function whoIsThere(): Promise<string[]> {
  const { discover } = await import('../../launch/discovery.ts');
  const troubles: string[] = [];
  const found = await discover(DISCOVERY_MS, (reason) => troubles.push(reason));
  if (found.length === 0)
    return [`nobody announces a run in this network ${troubles.join(', ')}`.trim()];
  const lines = found.map(({ name, addresses }) => `  ${name}  ${placesText(addresses)}`);
  return ['these announce a run in this network, and have printed a link:', ...lines];
}

async function readStandardInput(): Promise<string> {
  let text = '';
  for await (const chunk of process.stdin.setEncoding('utf8')) {
    text += String(chunk);
    if (text.length > MAX_LINK) break;
  }
  return text;
}

async function work(
  context: CommandContext,
  flags: Flags,
  find: (options: Omit<JoinOptions, 'accessFolder'>) => Promise<Destination | undefined>,
): Promise<void> {
  const { device, note } = await deviceNamed(flags['device'] ?? 'cpu');
  const mostLanes = device === 'cpu' ? 1024 : GPU_LANES;
  // Looked at before a token is traded.
  const settings = {
    device,
    lanes: wholeNumber('--lanes', flags['lanes'], 1, mostLanes) ?? defaultLanes(device),
    throttle: wholeNumber('--throttle', flags['throttle'], 1, MAX_THROTTLE) ?? 1,
    rank: rankOf(flags['rank'], context.environment),
    places: dataPlaces(flags['dataDir'], context.environment),
    interfaces: interfacesOf(flags['interface'], context.environment),
    retryMs: 1000 * (wholeNumber('--retry', flags['retry'], 0, 86_400) ?? 60),
  };
  if (note !== undefined) logLine(note);
  const graceMs = 1000 * (wholeNumber('--grace', flags['grace'], 0, 3_600) ?? 0);
  ignoreCheckpointSignal();
  const { signal } = interruptible(() => graceMs > 0 && logLine(LINGERS), graceMs);
  const destination = await find({ retryMs: settings.retryMs, signal, log: logLine });
  if (destination === undefined) return context.setExitCode(EXIT.interrupted);
  const reason = await runWorkerProcess({ ...settings, destination, log: logLine, signal });
  logLine(`done: ${reason}`);
  if (signal.aborted) context.setExitCode(EXIT.interrupted);
}

/** As asked for, or as a launcher like torchrun, mpirun or srun has numbered this process. */
function rankOf(flag: string | undefined, environment: NodeJS.ProcessEnv): number | null {
  const given = wholeNumber('--rank', flag, 0, 65_535);
  if (given !== undefined) return given;
  const launched = launchedRank(environment);
  if (launched !== undefined) logLine(`asks for rank ${launched.rank}, by ${launched.name}`);
  return launched?.rank ?? null;
}

/** Which other workers are to come by: as asked for, or by the name that torchrun's users know. */
export function interfacesOf(
  flag: string | undefined,
  { GLOO_SOCKET_IFNAME: variable }: NodeJS.ProcessEnv,
): readonly string[] | undefined {
  const text = flag ?? variable;
  if (text === undefined || (flag === undefined && text === '')) return undefined;
  const names = text.split(',').map((name) => name.trim());
  const known = Object.keys(networkInterfaces());
  const other = names.find((name) => !known.includes(name));
  if (other !== undefined)
    throw new ConfigError(
      `${flag === undefined ? 'GLOO_SOCKET_IFNAME' : '--interface'}: expected interfaces of this ` +
        `machine, ${known.join(', ')}, got "${other}"`,
    );
  const addresses = ownAddresses(names).join(', ');
  logLine(`other workers come by ${names.join(', ')} (${addresses}), as asked for`);
  return names;
}

async function deviceNamed(text: string): Promise<DeviceChoice> {
  const name = DEVICE_NAMES.find((known) => known === text);
  if (name === undefined)
    throw new ConfigError(
      `--device: expected one device, got "${text}". ${suggestion(text, DEVICE_NAMES)}`,
    );
  const [choice] = await chooseDevices([name]);
  invariant(choice !== undefined, 'every device asked for is chosen or refused');
  return choice;
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
  const expected = least === most ? String(least) : `a whole number from ${least} to ${most}`;
  throw new ConfigError(`${flag}: expected ${expected}, got "${text}"`);
}
