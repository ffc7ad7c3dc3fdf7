import { createHash } from 'node:crypto';
import type { ErrorCode } from '../base/errors.ts';
import type { TimeSplit } from '../coordinator/step-times.ts';
import type { WorkerTally } from '../coordinator/tallies.ts';
import type { Ledger, RoundSizes, RunEvent } from '../metrics/events.ts';
import type { Job } from '../protocol/messages.ts';

/** `summary.json`: what a run was and how it ended. Absent numbers were not measured. */
export interface RunSummary {
  readonly status: 'finished' | 'interrupted' | 'failed';
  readonly reason?: string;
  /** Of a run that failed; explained in docs/errors.md. */
  readonly code?: ErrorCode;
  readonly name: string;
  readonly model: string;
  /** Of the file that `model` is the path of. */
  readonly modelSha256?: string;
  readonly dataset: string;
  /** What a sample is mapped to. The loss of a sequence is the mean over its positions, in nats. */
  readonly task: Job['task'];
  readonly seed: number;
  /** Committed updates; of a run in rounds, rounds. */
  readonly steps: number;
  /** Of a run in rounds: what each consisted of. */
  readonly rounds?: RoundSizes;
  readonly epochs: number;
  readonly workers: readonly {
    readonly rank: number;
    readonly host: string;
    readonly device: string;
    readonly lanes: number;
    readonly samples: number;
    readonly microBatches: number;
  }[];
  /** 0..1; on the official test set unless `validationAccuracy` says otherwise. */
  readonly testAccuracy?: number;
  readonly testLoss?: number;
  readonly validationAccuracy?: number;
  readonly validationLoss?: number;
  /** Mean over the last epoch's steps. */
  readonly trainLoss?: number;
  readonly samplesPerSecond?: number;
  readonly wallSeconds: number;
  /** From the command to the first committed step. */
  readonly firstStepSeconds?: number;
  readonly parameters: number;
  /** SHA-256 of the compiled step: runs whose digests are to be equal begin with equal ones. */
  readonly stepDigest: string;
  readonly weightsDigest?: string;
  readonly stateDigest?: string;
  readonly numericsClasses: readonly string[];
  readonly ledger: Ledger;
  readonly events: {
    readonly workersLost: number;
    readonly workersJoined: number;
    readonly workersStalled: number;
    readonly microBatchesReissued: number;
    readonly stepsRedone: number;
    readonly rollbacks: number;
    /** Put out because others computed other gradients. */
    readonly workersDistrusted: number;
  };
  /** Micro-batches that a second worker computed too, with the setting `audit`. */
  readonly microBatchesAudited?: number;
  readonly bytesSent: number;
  readonly timeSplit: TimeSplit;
  readonly folder: string;
}

/**
 * SHA-256 of the weights, and of weights and optimizer state, in canonical order: parameters as in
 * the model, then each optimizer region.
 */
export function digestsOf(
  state: Uint8Array,
  parameterCount: number,
): { weightsDigest: string; stateDigest: string } {
  const hash = createHash('sha256').update(state.subarray(0, 4 * parameterCount));
  const weightsDigest = hash.copy().digest('hex');
  return {
    weightsDigest,
    stateDigest: hash.update(state.subarray(4 * parameterCount)).digest('hex'),
  };
}

/** Gathers from the events what a summary needs. */
export class EventTally {
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
  #evaluation: Extract<RunEvent, { kind: 'evaluation' }> | undefined;

  add(event: RunEvent): void {
    if (event.kind === 'worker-joined') {
      this.#counts.workersJoined++;
      this.#classes.add(event.numericsClass);
    } else if (event.kind === 'worker-lost') this.#counts.workersLost++;
    else if (event.kind === 'worker-stalled') this.#counts.workersStalled++;
    else if (event.kind === 'micro-batches-reissued')
      this.#counts.microBatchesReissued += event.microBatches.length;
    else if (event.kind === 'step-redone') this.#counts.stepsRedone++;
    else if (event.kind === 'rolled-back') this.#counts.rollbacks++;
    else if (event.kind === 'worker-distrusted') this.#counts.workersDistrusted++;
    else if (event.kind === 'evaluation') this.#evaluation = event;
    else if (event.kind === 'step') this.#addStep(event);
  }

  #addStep(event: Extract<RunEvent, { kind: 'step' }>): void {
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
      numericsClasses: [...this.#classes],
      events: { ...this.#counts },
    };
  }

  /** Updates per epoch counted from 1, or 0 before the first. */
  get epochs(): number {
    return this.#epoch + 1;
  }
}

/** The workers of a summary. */
export function summariseWorkers(tallies: readonly WorkerTally[]): RunSummary['workers'] {
  return tallies.map(({ rank, host, device, lanes, samples, microBatches }) => ({
    rank,
    host,
    device,
    lanes,
    samples,
    microBatches,
  }));
}

/** To whole numbers, or to three digits where that is more. */
function rounded(value: number): number {
  return value < 100 ? Number(value.toPrecision(3)) : Math.round(value);
}
