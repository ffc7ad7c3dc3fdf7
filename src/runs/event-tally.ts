import type { Clock } from '../base/clock.ts';
import type { RunHistory } from '../checkpoint/manifest.ts';
import type { EventSink } from '../metrics/event-sink.ts';
import type { Diverged, RunEvent } from '../metrics/events.ts';
import type { RunSummary } from './run-summary.ts';

/** Numerics classes that are named. */
const MAX_CLASSES = 256;

/** Gathers from the events what a summary needs. */
export class EventTally implements EventSink {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #counts = {
    workersLost: 0,
    workersJoined: 0,
    workersStalled: 0,
    microBatchesReissued: 0,
    stepsRedone: 0,
    rollbacks: 0,
    workersDistrusted: 0,
  };
  readonly #classes = new Set<string>();
  #epoch = -1;
  #epochLoss = 0;
  #epochSteps = 0;
  #stepMs = 0;
  #samples = 0;
  #evaluation: RunHistory['evaluation'];
  #firstStepMs: number | undefined;
  #diverged: Diverged | undefined;

  /** `history` is what was told of the steps before, when the run goes on. */
  constructor(clock: Pick<Clock, 'now'>, history?: RunHistory) {
    this.#clock = clock;
    if (history === undefined) return;
    [this.#epoch, this.#epochLoss] = [history.epoch, history.epochLoss];
    this.#epochSteps = history.epochSteps;
    this.#evaluation = history.evaluation;
    this.#diverged = history.diverged && { kind: 'diverged', ...history.diverged };
  }

  /** What was told of the steps so far, as far as a summary needs it. */
  history(): RunHistory {
    const evaluation = this.#evaluation;
    const accuracy = evaluation?.accuracy;
    return {
      epoch: this.#epoch,
      epochLoss: this.#epochLoss,
      epochSteps: this.#epochSteps,
      ...(evaluation && {
        evaluation: {
          step: evaluation.step,
          split: evaluation.split,
          lossMean: evaluation.lossMean,
          ...(accuracy !== undefined && { accuracy }),
        },
      }),
      ...(this.#diverged && { diverged: divergenceOf(this.#diverged) }),
    };
  }

  /** When the first step was committed, on the clock of the tally; undefined before. */
  get firstStepMs(): number | undefined {
    return this.#firstStepMs;
  }

  onEvent(event: RunEvent): void {
    if (event.kind === 'worker-joined') {
      this.#counts.workersJoined++;
      if (this.#classes.size < MAX_CLASSES) this.#classes.add(event.numericsClass);
    } else if (event.kind === 'worker-lost') this.#counts.workersLost++;
    else if (event.kind === 'worker-stalled') this.#counts.workersStalled++;
    else if (event.kind === 'micro-batches-reissued')
      this.#counts.microBatchesReissued += event.microBatches.length;
    else if (event.kind === 'step-redone') this.#counts.stepsRedone++;
    else if (event.kind === 'rolled-back') this.#rollBack(event);
    else if (event.kind === 'diverged') this.#diverged = event;
    else if (event.kind === 'worker-distrusted') this.#counts.workersDistrusted++;
    else if (event.kind === 'evaluation') this.#evaluation = event;
    else if (event.kind === 'step') this.#addStep(event);
  }

  /** What was told of steps that are void is told again, if it comes to that. */
  #rollBack({ reason, toStep }: Extract<RunEvent, { kind: 'rolled-back' }>): void {
    this.#counts.rollbacks++;
    const isVoid = reason !== 'lost' && toStep < (this.#diverged?.step ?? 0);
    if (isVoid) this.#diverged = undefined;
  }

  #addStep(event: Extract<RunEvent, { kind: 'step' }>): void {
    this.#firstStepMs ??= this.#clock.now();
    if (event.epoch !== this.#epoch)
      [this.#epoch, this.#epochLoss, this.#epochSteps] = [event.epoch, 0, 0];
    this.#epochLoss += event.lossMean;
    this.#epochSteps++;
    this.#stepMs += event.stepMs;
    this.#samples += event.sampleCount;
  }

  /** The event-derived part of a summary. */
  summary(): Pick<RunSummary, 'events' | 'numericsClasses'> & Partial<RunSummary> {
    const evaluation = this.#evaluation;
    const accuracy = evaluation?.accuracy;
    const isTest = evaluation?.split === 'test';
    return {
      ...(evaluation !== undefined &&
        (isTest ? { testLoss: evaluation.lossMean } : { validationLoss: evaluation.lossMean })),
      ...(accuracy !== undefined &&
        (isTest ? { testAccuracy: accuracy } : { validationAccuracy: accuracy })),
      ...(this.#epochSteps > 0 && { trainLoss: this.#epochLoss / this.#epochSteps }),
      ...(this.#stepMs > 0 && { samplesPerSecond: rounded((this.#samples / this.#stepMs) * 1000) }),
      ...(this.#diverged !== undefined && { diverged: divergenceOf(this.#diverged) }),
      numericsClasses: [...this.#classes],
      events: { ...this.#counts },
    };
  }

  /** The epoch of the last step, counted from 1; 0 before the first. */
  get epochs(): number {
    return this.#epoch + 1;
  }
}

function divergenceOf({ step, lossMean, firstLoss }: Diverged): Omit<Diverged, 'kind'> {
  return { step, lossMean, firstLoss };
}

/** To whole numbers, or to three digits where that is more. */
function rounded(value: number): number {
  return value < 100 ? Number(value.toPrecision(3)) : Math.round(value);
}
