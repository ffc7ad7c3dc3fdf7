/** `lockstep export`: the numbers of a run for other programs that keep experiments. */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { parse } from 'yaml';
import { ConfigError } from '../../base/errors.ts';
import { GrowingLog, readSummary, type RecordedEvent } from '../../dashboard/run-recording.ts';
import { pointOf, type RunEnd } from '../../trackers/metric-point.ts';
import {
  openTensorBoard,
  openWandb,
  type TrackedRun,
  type Tracker,
} from '../../trackers/tracker-files.ts';
import type { CommandContext } from '../shell/command-context.ts';
import { EXIT } from '../shell/exit-codes.ts';
import { helpText } from '../shell/help.ts';
import { aborted, withInterrupt } from '../shell/interrupt.ts';
import { Terminal } from '../shell/terminal.ts';
import { findRun } from './find-run.ts';

/** A run without an end of which nothing was recorded for so long was broken off. */
const BROKEN_OFF_MS = 10 * 60_000;
/** A run that is under way is looked at so often. */
const LOOK_MS = 1_000;

const HELP = `
Reads metrics.jsonl of a run, and goes on until the run is over; the training does not notice. The
names of the numbers are SmolCluster's: losses/train, losses/val, accuracy/val, lr,
gradients/layer_NAME.

Examples:
  lockstep export my-run --tensorboard  then: tensorboard --logdir tensorboard
  lockstep export my-run --wandb        then: wandb sync wandb/offline-run-...

Exit codes: 0 done, 1 a file could not be written, 2 wrong flags, no such run, or one that was
exported there before, 130 ended by Ctrl-C.`;

interface Flags {
  readonly tensorboard?: string | true;
  readonly wandb?: string | true;
  readonly project: string;
}

/** `lockstep export`. */
export function exportCommand(context: CommandContext): Command {
  return new Command('export')
    .description('write the numbers of a run for TensorBoard or W&B')
    .argument('<run>', "a run's folder or name")
    .option('--tensorboard [folder]', 'event files, in a folder of the run (default: tensorboard)')
    .option('--wandb [folder]', 'a W&B run that was offline (default: wandb)')
    .option('--project <name>', 'project of the W&B run', 'lockstep')
    .addHelpText('after', helpText(HELP))
    .action(async (path: string, flags: Flags) => exportRun(context, path, flags));
}

async function exportRun(
  { environment, setExitCode }: CommandContext,
  path: string,
  { tensorboard, wandb, project }: Flags,
): Promise<void> {
  const { folder, run } = findRun(path);
  if (run === undefined)
    throw new ConfigError(`${path}: expected a run's folder or name, got a folder of runs`);
  if (tensorboard === undefined && wandb === undefined)
    throw new ConfigError('export: expected --tensorboard, --wandb or both');
  const open = (about: TrackedRun): readonly Tracker[] => [
    ...(tensorboard === undefined
      ? []
      : [openTensorBoard(folderOf(tensorboard, 'tensorboard'), about)]),
    ...(wandb === undefined ? [] : [openWandb(folderOf(wandb, 'wandb'), project, about)]),
  ];
  const terminal = new Terminal(process.stderr, environment);
  const trackers = await withInterrupt(terminal, async (signal) =>
    follow(join(folder, run), run, open, signal),
  );
  if (trackers === undefined) return setExitCode(EXIT.interrupted);
  for (const { folder: made } of trackers) terminal.line(`exported to ${made}`);
  if (trackers.length === 0) throw new ConfigError(`${run}: nothing is recorded of this run`);
}

function folderOf(given: string | true, usual: string): string {
  return given === true ? usual : given;
}

/** Hands the numbers of a run to trackers, until it is over; undefined when `signal` ends that. */
async function follow(
  folder: string,
  name: string,
  open: (run: TrackedRun) => readonly Tracker[],
  signal: AbortSignal,
): Promise<readonly Tracker[] | undefined> {
  const log = new GrowingLog(folder);
  let trackers: readonly Tracker[] | undefined;
  let toldMs = Date.now();
  for (;;) {
    // Before the events: whatever came before the end is then in the file.
    const summary = await readSummary(folder);
    for await (const events of log.read()) {
      const [first] = events;
      if (first !== undefined)
        trackers ??= open({ ...aboutRun(folder, name), startMs: first.timeMs });
      toldMs = events.at(-1)?.timeMs ?? toldMs;
      for (const event of events) add(trackers ?? [], event);
    }
    const isOver = summary !== undefined || Date.now() - toldMs > BROKEN_OFF_MS;
    if (isOver || signal.aborted) {
      const how: RunEnd = summary?.status;
      for (const tracker of trackers ?? []) tracker.end(how);
      return isOver ? (trackers ?? []) : undefined;
    }
    await Promise.race([new Promise((later) => setTimeout(later, LOOK_MS)), aborted(signal)]);
  }
}

function add(trackers: readonly Tracker[], { event, timeMs }: RecordedEvent): void {
  const point = pointOf(event, timeMs);
  if (point !== undefined) for (const tracker of trackers) tracker.add(point);
}

function aboutRun(folder: string, name: string): Omit<TrackedRun, 'startMs'> {
  const host = hostname();
  try {
    const config: unknown = parse(readFileSync(join(folder, 'config.yaml'), 'utf8'));
    if (typeof config === 'object' && config !== null) return { name, host, config: { ...config } };
  } catch {
    // A run without its settings has numbers all the same.
  }
  return { name, host, config: {} };
}
