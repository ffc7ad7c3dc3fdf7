/** Training from a program: a run on worker processes of this machine. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../base/clock.ts';
import { siblingModule } from '../base/module-url.ts';
import type { TrainConfig } from '../config/train-config.ts';
import { dataPlaces } from '../job/data-source.ts';
import { type TrainingRunOptions, runTraining } from '../launch/training-run.ts';
import { defaultRunName } from '../runs/run-name.ts';
import type { RunSummary } from '../runs/run-summary.ts';
import { chooseDevices } from '../runtime/devices.ts';
import { exitOnSignals } from './exit-on-signals.ts';
import { EventStream, type RunEvents } from './run-events.ts';
import {
  type ParsedSettings,
  parseResumed,
  parseSettings,
  type TrainSettings,
} from './settings.ts';

/** What belongs to one call of `train` and is no setting of the run. */
export interface TrainOptions {
  /** YAML files with settings; later ones win over earlier ones, settings of the call over all. */
  readonly files?: readonly string[];
  /** Stops the run, as `stop` does. */
  readonly signal?: AbortSignal;
  /** Is told what one should know and need not act on, e.g. which device `auto` came to. */
  readonly onNote?: (note: string) => void;
}

/** A run under way. */
export interface Run {
  /** Name of its folder. */
  readonly name: string;
  /** Where its files are: `<outDir>/<name>`. */
  readonly folder: string;
  /** Every setting, resolved. */
  readonly config: TrainConfig;
  readonly events: RunEvents;
  /**
   * Settles when the run is over, no process of it lives and its files are written: with the
   * summary, also of a run that was stopped (status `interrupted`), or with the LockstepError that
   * it failed of. A rejection that nobody awaits is not reported.
   */
  readonly finished: Promise<RunSummary>;
  /** Ends the run with what is committed. Does nothing when it is over. */
  readonly stop: () => void;
}

/**
 * Starts a run on `settings.workers` worker processes of this machine.
 *
 * Nothing is printed. The process lives until the run is over; if it exits before, the workers are
 * killed.
 * Throws: ConfigError when settings or files cannot be used; nothing has been started then.
 */
export function train(settings: TrainSettings = {}, options: TrainOptions = {}): Run {
  return start(parseSettings(settings, options.files ?? []), options);
}

/**
 * Goes on with a run from a checkpoint: its newest, that of a folder, or, for `latest`, that of the
 * run in `outDir` whose newest was written last. Resolves once it is known from where, and starts
 * it as `train` does; its model is that of a run that nothing has ended. `settings` are the run's
 * where they are left out; those that would make another model are refused.
 *
 * Throws: ConfigError when there is nothing to go on with, or settings cannot be used;
 *         LockstepError with code CHECKPOINT_INVALID when it is damaged. Nothing is started then.
 */
export async function resume(
  what: string,
  settings: TrainSettings = {},
  options: TrainOptions = {},
): Promise<Run> {
  return start(await parseResumed(what, settings, options.files ?? []), options);
}

type Beginning = ParsedSettings & Pick<TrainingRunOptions, 'resume'>;

function start(beginning: Beginning, options: TrainOptions): Run {
  const { config, notes, resume: from } = beginning;
  const name = config.name ?? defaultRunName(config, randomBytes(3).toString('hex'));
  const events = new EventStream();
  const stopping = new AbortController();
  const { signal = stopping.signal, onNote } = options;
  // What a listener throws is an uncaught error of the program, and does not fail the run.
  const tell = (note: string): void => queueMicrotask(() => onNote?.(note));
  for (const note of notes) tell(note);
  const finished = trainHere(config, {
    name,
    resume: from,
    sinks: [events],
    onNote: tell,
    signal: AbortSignal.any([signal, stopping.signal]),
  }).finally(() => events.end());
  finished.catch(() => {});
  return {
    name,
    folder: join(config.outDir, name),
    config,
    events,
    finished,
    stop: () => stopping.abort(),
  };
}

async function trainHere(
  config: TrainConfig,
  listening: Pick<TrainingRunOptions, 'name' | 'resume' | 'sinks' | 'onNote' | 'signal'>,
): Promise<RunSummary> {
  const startedMs = systemClock.now();
  const release = exitOnSignals();
  try {
    const devices = await chooseDevices(config.device);
    for (const note of new Set(devices.flatMap(({ note: why }) => why ?? [])))
      listening.onNote(note);
    return await runTraining({
      ...listening,
      config,
      places: dataPlaces(config.dataDir, process.env),
      devices: devices.map(({ device }) => device),
      self: {
        program: process.execPath,
        arguments: [fileURLToPath(siblingModule(import.meta.url, '../cli/main'))],
      },
      startedMs,
      onListening: () => {},
    });
  } finally {
    release();
  }
}
