/** A training run as `fault-test` sees it: from outside, by its events and by how it ends. */
import { systemClock } from '../../base/clock.ts';
import { LockstepError } from '../../base/errors.ts';
import type { TrainConfig } from '../../config/train-config.ts';
import type { DataPlaces } from '../../data/dataset.ts';
import type { SelfCommand } from '../../launch/local-workers.ts';
import { runTraining } from '../../launch/training-run.ts';
import type { RunEvent } from '../../metrics/events.ts';
import { type Alarm, alarmOf, failureAlarm, type Heard } from './alarms.ts';
import type { Injector } from './fault-injectors.ts';
import type { ObservedRun } from './fault-verdict.ts';

/** What a run is made of. */
export interface ObserveOptions {
  /** With `outDir`, where the run's files go. */
  readonly config: TrainConfig;
  /** Name of the run, and of its folder. */
  readonly name: string;
  readonly places: DataPlaces;
  /** How an honest worker is started. */
  readonly self: SelfCommand;
  readonly injector: Injector;
  /** A run that takes longer is ended. */
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
}

/**
 * Trains, with a fault or without, and resolves with what was seen, also when the run fails. It
 * leaves nothing running.
 */
export async function observeRun(options: ObserveOptions): Promise<ObservedRun> {
  const { config, name, places, self, injector, signal, deadlineMs } = options;
  const startedMs = systemClock.now();
  const seen = new Sight();
  const isLate = AbortSignal.timeout(deadlineMs);
  const seconds = (): number => Math.round(systemClock.now() - startedMs) / 1000;
  try {
    const summary = await runTraining({
      config,
      name,
      places,
      devices: ['cpu'],
      self,
      placeWorker: async (rank, usual) => injector.placeWorker(rank, usual),
      startedMs,
      onListening: ({ folder }) => injector.onFolder(folder),
      sinks: [seen, injector],
      onNote: () => {},
      signal: AbortSignal.any([signal, isLate]),
    });
    signal.throwIfAborted();
    const end = summary.status === 'finished' ? 'finished' : 'out-of-time';
    return { end, ...seen.result(), stateDigest: summary.stateDigest, seconds: seconds() };
  } catch (error) {
    if (!(error instanceof LockstepError) || error.code === 'INTERNAL') throw error;
    seen.alarms.push(failureAlarm(error, seen.heard()));
    return { end: 'failed', ...seen.result(), stateDigest: undefined, seconds: seconds() };
  } finally {
    await injector.close();
  }
}

/** What events have told so far. */
class Sight {
  readonly alarms: Alarm[] = [];
  /** Losses by step; of a step that is reported again, after a rollback, the later one counts. */
  readonly #losses = new Map<number, number>();
  #step = 0;

  onEvent(event: RunEvent): void {
    if (event.kind === 'step') {
      this.#step = event.step;
      this.#losses.set(event.step, event.lossMean);
    }
    if (event.kind === 'rolled-back') {
      this.#step = event.toStep;
      for (const step of this.#losses.keys()) if (step > event.toStep) this.#losses.delete(step);
    }
    const alarm = alarmOf(event, this.heard());
    if (alarm !== undefined) this.alarms.push(alarm);
  }

  heard(): Heard {
    return { step: this.#step, atMs: Date.now() };
  }

  result(): Pick<ObservedRun, 'alarms' | 'losses'> {
    const losses = [...this.#losses].sort(([a], [b]) => a - b).map(([, loss]) => loss);
    return { alarms: [...this.alarms], losses };
  }
}
