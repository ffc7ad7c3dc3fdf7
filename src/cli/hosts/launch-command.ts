import { fileURLToPath } from 'node:url';
import { Command, Option } from 'commander';
import { ConfigError, LockstepError } from '../../base/errors.ts';
import { wantsKey } from '../../config/cluster-settings.ts';
import { parseTrainConfig } from '../../config/parse-train-config.ts';
import { someAsYaml, toYaml } from '../../config/to-yaml.ts';
import type { TrainConfig, TrainConfigKey } from '../../config/train-config.ts';
import { TRAIN_CONFIG_KEYS } from '../../config/train-options.ts';
import type { ConfigSource } from '../../config/yaml-source.ts';
import { type HostReport, inspectHosts, sortReports } from '../../doctor/inspect-hosts.ts';
import { readConfigFile } from '../../launch/config-file.ts';
import { type Cluster, type Post, postsOf } from '../../remote/host.ts';
import { namesHosts, parseHosts } from '../../remote/hosts-file.ts';
import {
  awaitJoins,
  installPackage,
  type LaunchPlan,
  listenAddress,
  startCoordinator,
  startWorkers,
} from '../../remote/launch-cluster.ts';
import { PackageFiles, packageId } from '../../remote/package-files.ts';
import type { LaunchHost } from '../../remote/launch-host.ts';
import { LAUNCH_FOLDER, LINK_NAME } from '../../remote/processes.ts';
import { DryRunner } from '../../remote/runner.ts';
import { type Session, sessionsOf, statusOf, stopSessions } from '../../remote/running-cluster.ts';
import type { Ssh } from '../../remote/ssh.ts';
import { type LauncherName, LAUNCHERS } from '../../schedulers/launchers.ts';
import type { CommandContext } from '../shell/command-context.ts';
import { helpText } from '../shell/help.ts';
import { writeResult } from '../shell/output.ts';
import { type Colours, paint, Terminal } from '../shell/terminal.ts';
import { hostsText } from '../texts/launch-text.ts';
import { withTrainOptions } from '../training/train-command.ts';
import { usualHostsFile, withSsh } from './hosts-option.ts';
import { launchVia } from './launch-via.ts';
import { attachCommand, logsCommand, statusCommand, stopCommand } from './session-commands.ts';

const HELP = `
The hosts stand in a file: \`hosts: [mini1, mini2]\` is one; SmolCluster's cluster_config.yaml is
another. Files after it, and flags, are settings of the training, as of \`lockstep train\`. The ssh
of this machine is used, with its configuration, agent and keys; it must not ask for anything.

First all hosts are looked at: unless each can take part, nothing is started. Then the package is
copied to those that do not have this build, and coordinator and workers are started in tmux
sessions \`server\`, \`worker1\`, \`worker2\` ..., with logs in \`~/server.log\`,
\`~/worker1.log\` ... there.

With --via a launcher or a scheduler starts the processes instead, \`--workers\` of them: local,
mpirun and torchrun in this terminal; slurm and kubernetes are handed a job, which a file may
describe (docs/clusters.md).

Examples:
  lockstep launch hosts.yaml --epochs 1 --name first
  lockstep launch cluster_config.yaml nn_config.yaml --dry-run
  lockstep launch hosts.yaml --replace --resume first
  lockstep launch status
  lockstep launch --via slurm --workers 4 --epochs 1 --name second --dry-run

Exit codes: 0 started, 1 hosts cannot take part or failed, 2 wrong flags or files.`;

const DEFAULT_PORT = 29_500;
/** Where the coordinator writes the link, in its working folder. */
const LINK_FILE = `${LAUNCH_FOLDER}/${LINK_NAME}`;
/** Keys of SmolCluster's that say where hosts are: what else is said of them is for others. */
const HOST_KEYS = /^(?:server|workers|num_workers|host_ip|worker_connect_ip|server_connect_ip)\b/;
/** Flags for launchers that know no file of hosts. */
const OF_OTHERS = ['workers', 'lanes', 'device'];
/** Settings that the file of hosts has for each of them. */
const SAID_BY_HOSTS = ['--host', '--lan', '--approve', '--link-file'];

interface LaunchFlags {
  readonly dryRun?: boolean;
  readonly replace?: boolean;
  readonly allowPartial?: boolean;
  /** Which run goes on; true: that of --name, or the latest. */
  readonly resume?: string | true;
}

type Flags = Readonly<Record<string, unknown>>;

/** \`lockstep launch\`: starts a run on other machines, and looks after it. */
export function launchCommand(context: CommandContext): Command {
  const command = new Command('launch')
    .description('start a training on other machines: over ssh, or by a scheduler')
    .enablePositionalOptions()
    .optionsGroup('Launch:')
    .addOption(
      new Option('--via <launcher>', 'what starts the processes').choices(LAUNCHERS).default('ssh'),
    )
    .option('--dry-run', 'print the commands, the script or the manifests, and run nothing')
    .option('--replace', 'end sessions that are there, and start anew')
    .option('--allow-partial', 'start without the hosts that cannot take part')
    .option(
      '--resume [run|latest|path]',
      'go on with a run of the host that coordinates, as `lockstep coordinator --resume` does',
    );
  withTrainOptions(command, SAID_BY_HOSTS)
    .addHelpText('after', helpText(HELP))
    .action(async (files: string[], flags: Flags) => {
      const { via, ...others } = flags as Flags & { readonly via: LauncherName };
      if (via !== 'ssh') return launchVia(context, via, files, others);
      const odd = OF_OTHERS.find((name) => flags[name] !== undefined);
      if (odd === undefined) return launch(context, files, others);
      throw new ConfigError(`--${odd}: stands in the file of hosts, for each of them`);
    });
  for (const one of [statusCommand, logsCommand, attachCommand, stopCommand])
    command.addCommand(one(context));
  return command;
}

/** What was asked for. */
interface Request {
  readonly cluster: Cluster;
  readonly config: TrainConfig;
  readonly flags: LaunchFlags;
  /** Settings that were given, as far as they are others than usual. */
  readonly given: readonly TrainConfigKey[];
}

async function launch(
  context: CommandContext,
  files: readonly string[],
  { dryRun, replace, allowPartial, resume, ...settings }: Flags,
): Promise<void> {
  const terminal = new Terminal(process.stderr, context.environment);
  const colours = paint(context.environment);
  const sources = (files.length > 0 ? files : [usualHostsFile()]).map(readConfigFile);
  const { notes, ...wanted } = readRequest(sources, settings);
  for (const note of notes) terminal.line(colours.dim(`note: ${note}`));
  const flags = { dryRun, replace, allowPartial, resume } as LaunchFlags;
  const request = { ...wanted, flags };
  if (dryRun === true)
    await withSsh(context, async (ssh) => printCommands(request, planOf(request, ssh)), false);
  else await withSsh(context, async (ssh) => start(request, ssh, terminal, colours));
}

/** Reads hosts and settings. Throws: ConfigError. */
function readRequest(
  sources: readonly ConfigSource[],
  settings: Flags,
): Omit<Request, 'flags'> & { readonly notes: readonly string[] } {
  const [first] = sources;
  const named = sources.find(namesHosts) ?? first;
  if (named === undefined) throw new ConfigError('expected a file of hosts, got none');
  const { cluster, isSeedFile } = parseHosts(named);
  const others = sources.filter((source) => source !== named || isSeedFile);
  const workers = String(postsOf(cluster.hosts).length);
  const host = listenAddress(cluster);
  const { config, notes } = parseTrainConfig(
    others,
    { ...settings, workers, host, linkFile: LINK_FILE },
    true,
  );
  if (config.approve)
    throw new ConfigError(
      'approve: a launch gives each worker its key over ssh, and nobody is there to be asked. ' +
        'Leave approve out of the file',
    );
  checkMemory(cluster, config);
  const { config: usual } = parseTrainConfig([], {}, true);
  const given = TRAIN_CONFIG_KEYS.filter(
    (key) => Object.hasOwn(settings, key) || String(config[key]) !== String(usual[key]),
  );
  const port = cluster.port ?? (config.port === 0 ? DEFAULT_PORT : config.port);
  return {
    cluster,
    config: { ...config, port },
    given,
    notes: notes
      .filter(({ key }) => !HOST_KEYS.test(key))
      .map(({ file, line, key, message }) =>
        line > 0 ? `${file}:${line}: ${message}` : `${key}: ${message}`,
      ),
  };
}

/** Throws: ConfigError where workers of several machines are to add up in memory of one. */
function checkMemory({ hosts }: Cluster, { collective }: TrainConfig): void {
  const places = hosts.filter(({ workers }) => workers > 0).map(({ name }) => name);
  if (collective !== 'shm' || places.length < 2) return;
  throw new ConfigError(
    `collective: shm is for workers of one machine, and there are some on ${places.join(', ')}. ` +
      'Use auto, which adds up in memory on each machine and in a ring between them, or ring',
  );
}

function planOf(
  { cluster, config, flags: { resume } }: Request,
  ssh: Ssh,
  more: Partial<LaunchPlan> = {},
): LaunchPlan {
  const root = packageRoot();
  return {
    cluster,
    runner: ssh,
    packageName: packageId(root),
    packages: undefined,
    listen: config.host,
    address: cluster.coordinator.address ?? ssh.addressOf(cluster.coordinator),
    port: config.port,
    coordinatorFlags: [
      ...(resume === undefined ? [] : ['--resume']),
      ...(typeof resume === 'string' ? [resume] : []),
    ],
    isKeyed: wantsKey(config),
    isInsecure: config.insecure,
    tell: () => {},
    ...more,
  };
}

/** The settings as a file for the coordinator; of a run that goes on those that may be others. */
function settingsText({ config, flags, given }: Request): string {
  if (flags.resume === undefined) return toYaml(config);
  return someAsYaml(config, [...given, 'workers', 'host', 'port', 'linkFile']);
}

/** What a launch would run, if all hosts had nothing of ours and could take part. */
async function printCommands(request: Request, plan: LaunchPlan): Promise<void> {
  const { cluster, flags } = request;
  const runner = new DryRunner(plan.runner as Ssh, (line) => writeResult(`${line}\n`));
  const dry = { ...plan, runner };
  const title = (text: string): void => writeResult(`# ${text}\n`);
  title('look at the hosts');
  await inspectHosts(cluster, runner);
  const reports = cluster.hosts.map((host) => ({ host, packages: [], sessions: [] }));
  if (flags.replace === true) {
    title('end sessions that are there');
    await stopSessions(sessionsOf(cluster), runner, () => {});
  }
  title(`copy ${plan.packageName} where it is not there`);
  await installPackage(dry, reports);
  title('start the coordinator');
  const link = await startCoordinator(dry, coordinatorOf(cluster, reports), settingsText(request));
  title('start the workers');
  await startWorkers(dry, reports, link);
}

async function start(
  request: Request,
  ssh: Ssh,
  terminal: Terminal,
  colours: Colours,
): Promise<void> {
  const packages = new PackageFiles(packageRoot());
  try {
    const tell = (line: string): void => terminal.line(line);
    const plan = planOf(request, ssh, { packages, tell });
    const reports = await inspectHosts(request.cluster, ssh);
    terminal.line(hostsText(reports, plan.packageName, colours));
    const ready = chooseReady(request, reports);
    await makeRoom(request, ready, plan);
    await installPackage(plan, ready);
    const workers = ready.reduce((sum, { host }) => sum + host.workers, 0);
    const configText = settingsText({ ...request, config: { ...request.config, workers } });
    const coordinator = coordinatorOf(request.cluster, ready);
    const link = await startCoordinator(plan, coordinator, configText);
    const posts = await startWorkers(plan, ready, link);
    await tellOfAbsent(plan, posts);
    terminal.line('`lockstep launch status` tells how it goes, `launch logs -f` what they say');
  } finally {
    packages.close();
  }
}

/** Tells of workers that have not joined, with the last that they said. */
async function tellOfAbsent(plan: LaunchPlan, posts: readonly Post[]): Promise<void> {
  const absent = new Set((await awaitJoins(plan, posts)).map(({ rank }) => rank));
  if (absent.size === 0) return;
  for (const { session, lastLine } of await statusOf(plan.cluster, plan.runner))
    if (session.rank !== undefined && absent.has(session.rank))
      plan.tell(`! ${session.host.name}: ${session.name} has not joined yet: ${lastLine}`);
}

/** The hosts that take part. Throws: HOST_FAILED when not all can, unless that is allowed. */
function chooseReady(
  { cluster, flags }: Request,
  reports: readonly HostReport[],
): readonly HostReport[] {
  const { ready, unfit } = sortReports(reports);
  if (unfit.length === 0) return ready;
  const names = unfit.map(({ host }) => host.name).join(', ');
  const what = `${unfit.length} of ${reports.length} hosts cannot take part (${names})`;
  const isLed = ready.some(({ host }) => host === cluster.coordinator);
  const workers = ready.reduce((sum, { host }) => sum + host.workers, 0);
  if (flags.allowPartial === true && isLed && workers > 0) return ready;
  const next = isLed
    ? 'Mend them as told above, or start without them: --allow-partial'
    : `${cluster.coordinator.name}, which is to coordinate, must be able to: mend it as told above`;
  throw new LockstepError('HOST_FAILED', `${what}; nothing was started. ${next}`);
}

/** Ends sessions that are there, if that is wanted. Throws: HOST_FAILED if it is not. */
async function makeRoom(
  { flags }: Request,
  reports: readonly HostReport[],
  { runner, tell }: LaunchPlan,
): Promise<void> {
  const there: readonly Session[] = reports.flatMap(({ host, sessions }) =>
    sessions.map((name) => ({
      name,
      host,
      rank: name === 'server' ? undefined : Number(name.slice('worker'.length)) - 1,
    })),
  );
  if (there.length === 0) return;
  const names = there.map(({ name, host }) => `${name} on ${host.name}`).join(', ');
  if (flags.replace !== true)
    throw new LockstepError(
      'HOST_FAILED',
      `there are sessions already: ${names}; nothing was started. \`lockstep launch attach\` ` +
        'shows one, --replace ends them and starts anew',
    );
  await stopSessions(there, runner, tell);
}

function coordinatorOf({ coordinator }: Cluster, reports: readonly LaunchHost[]): LaunchHost {
  const report = reports.find(({ host }) => host === coordinator);
  if (report === undefined)
    throw new LockstepError('HOST_FAILED', `${coordinator.name}: it is to coordinate, and cannot`);
  return report;
}

function packageRoot(): string {
  return fileURLToPath(new URL('../../..', import.meta.url));
}
