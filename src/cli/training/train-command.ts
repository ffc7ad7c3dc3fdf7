import { statSync } from 'node:fs';
import { accessFolder } from '../../access/home.ts';
import { Command, Option } from 'commander';
import { DATASET_NAMES } from '../../data/sources/datasets.ts';
import { describeOptions, type OptionDescription } from '../../config/option-docs.ts';
import type { OptionGroup } from '../../config/train-options.ts';
import { type ParsedTrainConfig, parseTrainConfig } from '../../config/parse-train-config.ts';
import { ConfigError } from '../../base/errors.ts';
import { findResumedRun, type ResumedRun } from '../../launch/resumed-run.ts';
import type { ReplayCrew } from '../../replay/replay-run.ts';
import { verifyResumed } from '../../replay/verify-resumed.ts';
import type { ForkPoint } from '../../runs/fork-point.ts';
import type { TrainConfig } from '../../config/train-config.ts';
import { dataPlaces } from '../../job/data-source.ts';
import { parseDashboardPort } from '../dashboard/dashboard-port.ts';
import { withDashboard } from '../dashboard/live-dashboard.ts';
import { printJson } from '../shell/json-output.ts';
import type { CommandContext } from '../shell/command-context.ts';
import { defaultRunName } from '../../runs/run-name.ts';
import type { EventSink } from '../../metrics/event-sink.ts';
import type { RunSummary } from '../../runs/run-summary.ts';
import { readConfigFile } from '../../launch/config-file.ts';
import { runTraining, type RunPlace } from '../../launch/training-run.ts';
import { ApprovalDesk } from '../texts/approval-desk.ts';
import { isLoopback } from '../../transport/loopback.ts';
import { chooseDevices } from '../../runtime/devices.ts';
import { EXIT } from '../shell/exit-codes.ts';
import { onCheckpointSignal, withInterrupt } from '../shell/interrupt.ts';
import { Progress } from '../texts/progress.ts';
import { readAliases, TRAIN_ALIASES, withAliases } from '../shell/flag-aliases.ts';
import { summaryText } from '../texts/summary-text.ts';
import { GroupTraining } from './group-training.ts';
import { type Colours, paint, Terminal } from '../shell/terminal.ts';
import { helpText, RareOption, withChoices } from '../shell/help.ts';

const TRAIN_HELP = `
Examples:
  lockstep train                                 MNIST on two workers
  lockstep train --workers 4 --epochs 2 --json   summary as JSON on stdout
  lockstep train config.yaml --lr 0.01           a file; flags override it
  lockstep train cluster_config.yaml nn_config.yaml
                                                 SmolCluster's own files

Flags by the names of other programs (--batch-size, --learning-rate, --num-classes, --output-dir,
--world-size ...) are taken for ours, with a note.

Exit codes: 0 finished, 1 failed, 2 wrong flags or files, 3 finished, but files of the run could not
be written as asked (the summary says which, and where the model is), 130 interrupted.`;

const COORDINATOR_HELP = `
Waits for --workers workers, trains with them, and takes in any that join later. Takes the same
settings as \`lockstep train\`. Workers of this machine join with \`lockstep worker --join HOST:PORT\`;
with --lan, or another --host than this machine's own, those of others by the link that is printed,
encrypted and with a key.

Example, two machines:
  desk$   lockstep coordinator --workers 2 --lan --port 29500
  desk$   lockstep worker --join 127.0.0.1:29500
  laptop$ lockstep join lockstep://...

Exit codes: 0 finished, 1 failed, 2 wrong flags or files, 3 finished, but files of the run could not
be written as asked (the summary says which, and where the model is), 130 interrupted.`;

/** \`lockstep train\`: coordinator and workers on this machine. */
export function trainCommand(context: CommandContext): Command {
  const description = 'train a model on a cluster of workers on this machine';
  return trainingCommand('train', description, TRAIN_HELP, async (files, flags) =>
    train(context, files, flags, true),
  );
}

/** \`lockstep coordinator\`: the same run, but the workers join by themselves. */
export function coordinatorCommand(context: CommandContext): Command {
  const description = 'coordinate a run that workers on any machine join';
  return trainingCommand('coordinator', description, COORDINATOR_HELP, async (files, flags) =>
    train(context, files, flags, false),
  );
}

type Flags = Readonly<Record<string, unknown>>;

function trainingCommand(
  name: string,
  description: string,
  help: string,
  action: (files: readonly string[], flags: Flags) => Promise<void>,
): Command {
  const json = new Option('--json', 'print the summary as one JSON document on stdout');
  const command = withTrainOptions(new Command(name).description(description));
  command.addOption(json.helpGroup(headingOf('run')));
  command.addOption(
    new Option(
      '--resume [run|latest|path]',
      'go on with a run from its newest checkpoint, or from the one in that folder; alone: with ' +
        "that of --name, or the latest; settings are the run's, workers, lanes and hosts may be " +
        'others',
    ).helpGroup(headingOf('run')),
  );
  const verify = new RareOption(
    '--verify',
    'with --resume: first compute the steps before the checkpoint again, and compare them with ' +
      'what was recorded',
  );
  command.addOption(verify.helpGroup(headingOf('run')));
  withDashboardOption(command);
  return withAliases(command, TRAIN_ALIASES)
    .addHelpText('after', helpText(help))
    .action(async (files: string[], flags: Flags) => action(files, flags));
}

/** Adds the flag that opens the page of the run. */
export function withDashboardOption(command: Command): Command {
  const dashboard = new Option(
    '--dashboard [port]',
    'open a page that shows the run, to this machine only (default: port 3000, or the next that ' +
      'is free)',
  );
  return command.addOption(dashboard.helpGroup(headingOf('run')));
}

/**
 * Adds the settings of a run to a command, as flags, but for those left out, and the files that give
 * them.
 */
export function withTrainOptions(command: Command, leftOut: readonly string[] = []): Command {
  command.argument('[config...]', 'YAML files; later ones win, flags win over all');
  for (const setting of describeOptions()) {
    const { flag, placeholder, kind, group } = setting;
    if (leftOut.includes(flag)) continue;
    command.addOption(settingOption(setting));
    if (kind !== 'boolean' && placeholder !== '') continue;
    const opposite = new Option(flag.replace('--', '--no-'), `not ${flag}`).hideHelp();
    command.addOption(opposite.helpGroup(headingOf(group)));
  }
  return command;
}

function settingOption(setting: OptionDescription): Option {
  const { flag, placeholder, defaultText, unit, help, expected, choices, group } = setting;
  // Names that the placeholder has no room for.
  const names = placeholder.includes('name') ? expected : '';
  const details = [names, unit, defaultText === '' ? '' : `default: ${defaultText}`]
    .filter(Boolean)
    .join(', ');
  const description = details === '' ? help : `${help} (${details})`;
  const spelled =
    placeholder === '' || placeholder.startsWith('[')
      ? placeholder
      : `<${placeholder.replaceAll(/[<>]/g, '')}>`;
  const words = `${flag} ${spelled}`.trim();
  const option = setting.isEveryday
    ? new Option(words, description)
    : new RareOption(words, description);
  return withChoices(option, choices).helpGroup(headingOf(group));
}

/** The heading of a group of settings: `Model:`. */
function headingOf(group: OptionGroup): string {
  return `${group.slice(0, 1).toUpperCase()}${group.slice(1)}:`;
}

/** A folder of one's own may be called by its name alone, unless a data set has that name. */
export function withFolder(flags: Flags): Flags {
  const { dataset } = flags;
  const isFolder =
    typeof dataset === 'string' &&
    /^[^./\\]+$/.test(dataset) &&
    !DATASET_NAMES.includes(dataset) &&
    statSync(dataset, { throwIfNoEntry: false })?.isDirectory() === true;
  return isFolder ? { ...flags, dataset: `./${dataset}` } : flags;
}

async function train(
  context: CommandContext,
  files: readonly string[],
  { json, dashboard, resume: resumed, verify, ...settings }: Flags,
  isLocal: boolean,
): Promise<void> {
  if (verify === true && resumed === undefined)
    throw new ConfigError(
      '--verify: expected --resume, too: it looks at the way to a checkpoint. `lockstep replay ' +
        '--verify` looks at all of a run',
    );
  const { given: asked, notes } = readGiven(files, settings);
  const given = { ...asked, isForOthers: !isLocal };
  const group = isLocal ? GroupTraining.find(context.environment, given) : undefined;
  if (group !== undefined && group.group.rank > 0) return group.work(context);
  const screen = new TrainingScreen(context);
  const lead = async (): Promise<RunSummary | undefined> => {
    const unfinished = group?.unfinishedRun((text) => screen.note(text));
    const run = await configOf(group?.request ?? given, resumed ?? unfinished);
    for (const text of [...(run.resume?.notes ?? []), ...notes]) screen.note(text);
    return leadTraining(context, screen, {
      ...{ ...run, dashboard, json: json === true, isLocal, group },
      isVerified: verify === true,
    });
  };
  if (group === undefined) await lead();
  else await group.lead(lead);
}

/** Settings as files and flags give them, and what is worth knowing of the flags. */
export function readGiven(
  files: readonly string[],
  settings: Flags,
): {
  readonly given: Pick<Parameters<typeof findResumedRun>[1], 'sources' | 'flags'>;
  readonly notes: readonly string[];
} {
  const { flags, notes } = readAliases(settings, TRAIN_ALIASES);
  const given = { sources: files.map(readConfigFile), flags: withFolder(flags) };
  return { given, notes: notes.map((text) => `note: ${text}`) };
}

/** What a run is told on: the terminal, with its progress. */
export class TrainingScreen {
  readonly colours: Colours;
  readonly terminal: Terminal;
  readonly progress: Progress;

  constructor({ environment, now }: CommandContext) {
    this.colours = paint(environment);
    this.terminal = new Terminal(process.stderr, environment);
    this.progress = new Progress(this.terminal, this.colours, now);
  }

  /** Something that one should know and need not act on. */
  note(text: string): void {
    this.terminal.line(this.colours.dim(text));
  }
}

/** A run that is to be led, and what was asked for besides. */
export interface TrainingRequest extends ParsedTrainConfig, Partial<Pick<ResumedRun, 'resume'>> {
  readonly fork?: ForkPoint;
  readonly json: boolean;
  /** As the flag has it. */
  readonly dashboard: unknown;
  /** Workers are started on this machine. */
  readonly isLocal: boolean;
  /** The ranks of a launcher, of which this process is the first. */
  readonly group?: GroupTraining | undefined;
  /** The way to the checkpoint is looked at first. */
  readonly isVerified?: boolean;
}

/**
 * Leads a run to its end, tells of it, and sets the exit code; undefined if it was interrupted
 * before it began.
 */
export async function leadTraining(
  context: CommandContext,
  screen: TrainingScreen,
  request: TrainingRequest,
): Promise<RunSummary | undefined> {
  const { config, notes, resume, fork, json, dashboard, isLocal, group, isVerified } = request;
  const { terminal, colours, progress } = screen;
  const asked = dashboard === undefined ? undefined : parseDashboardPort('--dashboard', dashboard);
  for (const { file, line, key, message } of notes)
    screen.note(`note: ${line > 0 ? `${file}:${line}` : key}: ${message}`);
  const devices = isLocal ? await chooseDevices(config.device) : [];
  for (const line of new Set(devices.flatMap((device) => device.note ?? []))) screen.note(line);
  const folder = accessFolder(context.environment);
  const name = config.name ?? defaultRunName(config, String(process.pid));
  let writeCheckpoint = (): void => {};
  const lead = async (sinks: readonly EventSink[], signal: AbortSignal): Promise<RunSummary> =>
    runTraining({
      config,
      name,
      places: dataPlaces(config.dataDir, context.environment),
      devices: devices.map(({ device }) => device),
      self: isLocal ? context.self : undefined,
      group: group?.part(),
      resume,
      fork,
      startedMs: context.startedMs,
      accessFolder: folder,
      approver: terminal.canAsk ? new ApprovalDesk(terminal, colours) : undefined,
      onListening: (place) => {
        terminal.line(listeningText(config, group ?? isLocal, place, colours));
        // The link is a secret, and what ranks say is read by whoever may read the job's log.
        if (group !== undefined) return group.announce(place);
        for (const line of joiningLines(config, place, colours)) terminal.line(line);
      },
      onLed: (write) => (writeCheckpoint = write),
      sinks: [progress, ...sinks],
      onPhase: (phase) => progress.phase(phase),
      onNote: (text) => screen.note(text),
      signal,
    });
  const forgetSignal = onCheckpointSignal(() => writeCheckpoint());
  const board = { asked, name, outDir: config.outDir, accessFolder: folder, terminal, colours };
  const summary = await withInterrupt(terminal, async (signal) => {
    if (isVerified === true && resume !== undefined) {
      const workers = isLocal && group === undefined ? config.workers : 1;
      const crew = await crewOf(context, screen, { ...config, workers }, signal);
      if (!(await verifyResumed(resume, crew))) return undefined;
    }
    return withDashboard(board, (sinks) => lead(sinks, signal));
  }).finally(() => {
    progress.close();
    forgetSignal();
  });
  if (summary === undefined) {
    context.setExitCode(EXIT.interrupted);
    return undefined;
  }
  terminal.line(summaryText(summary, colours));
  if (json) printJson(summary);
  context.setExitCode(exitCodeOf(summary));
  return summary;
}

/** Who computes again: as flags or settings have it; as the run had it where that is absent. */
interface CrewSettings {
  readonly workers?: unknown;
  readonly lanes?: unknown;
  readonly dataDir?: string | undefined;
}

/** Workers of this machine that compute steps of a run again, told of on the terminal. */
export async function crewOf(
  context: CommandContext,
  screen: TrainingScreen,
  { workers, lanes, dataDir }: CrewSettings,
  signal: AbortSignal,
): Promise<ReplayCrew> {
  const { progress } = screen;
  const [device] = await chooseDevices(['cpu']);
  return {
    flags: { device: 'cpu', workers, lanes, dataDir },
    places: dataPlaces(dataDir, context.environment),
    devices: [device?.device ?? 'cpu'],
    self: context.self,
    startedMs: context.startedMs,
    sinks: [progress],
    onPhase: (phase) => progress.phase(phase),
    onNote: (text) => screen.note(text),
    signal,
  };
}

/** The settings of a new run, or of one that goes on, and where. */
async function configOf(
  given: Parameters<typeof findResumedRun>[1],
  resumed: unknown,
): Promise<ParsedTrainConfig & Partial<ResumedRun>> {
  if (resumed !== undefined)
    return findResumedRun(typeof resumed === 'string' ? resumed : undefined, given);
  return parseTrainConfig(given.sources, given.flags, given.isForOthers);
}

function exitCodeOf({ status, fileFailures }: RunSummary): number {
  if (status !== 'finished') return EXIT.interrupted;
  return fileFailures === undefined ? EXIT.ok : EXIT.filesFailed;
}

function listeningText(
  { workers, model, dataset }: TrainConfig,
  crew: GroupTraining | boolean,
  { address: { host, port }, folder }: RunPlace,
  { bold, dim }: Colours,
): string {
  const count = `${workers} worker${workers === 1 ? '' : 's'}`;
  const who = crew === true ? `${count} on this machine` : `waiting for ${count}`;
  const by = typeof crew === 'boolean' ? '' : ` of ${crew.group.launcher}`;
  return (
    `${bold('Lockstep')}  ${model} on ${dataset}, ${who}${by}  ` +
    dim(`coordinator ${host}:${port}, files in ${folder}`)
  );
}

/** How workers of other machines join, or a warning that anybody may. */
function joiningLines(
  { host, insecure, linkFile, approve }: TrainConfig,
  { link }: RunPlace,
  { bold, red }: Colours,
): readonly string[] {
  if (insecure && !isLoopback(host))
    return [red('--insecure: whoever reaches this port can join, read and alter everything')];
  if (link === undefined) return [];
  const asks = approve ? ['whoever joins waits here until you type the code of its screen'] : [];
  if (linkFile !== undefined)
    return [`join link: ${linkFile} (lockstep join --link-file ...)`, ...asks];
  const line = `  ${bold(`npx lockstep join ${link}`)}`;
  return ['on any other machine, within 24 hours:', line, ...asks];
}
