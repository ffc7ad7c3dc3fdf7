/** What one step of a planned run takes this machine: measured with the engine that trains. */
import { createHash } from 'node:crypto';
import { systemClock } from '../base/clock.ts';
import type { EpochLayout } from '../data/batches.ts';
import { parseOptimizerSpec } from '../optim/spec.ts';
import { gridExponents, type GridMaxima, mergeMaxima } from '../plan/grid.ts';
import { compiledStepsOf, scalarsOf } from '../plan/run-plan.ts';
import {
  type Commit,
  MAX_GRANTED_STEPS,
  type MicroBatchRecord,
  type Plan,
} from '../protocol/messages.ts';
import type { Device } from '../runtime/device.ts';
import { LanePool } from '../runtime/lanes/lane-pool.ts';
import { rewriteStep } from '../runtime/received-step.ts';
import { makeInitialState } from '../state/initial-state.ts';
import type { PlannedRun } from './make-plan.ts';

/** The time of a training step, as it stands in files of profiles. */
export interface StepProfile {
  readonly model: string;
  readonly dataset: string;
  /** Samples. */
  readonly micro_batch: number;
  /** Of the compiled step: the same for the same model, data and micro-batch. */
  readonly step_sha256: string;
  readonly device: Device;
  /** Computing threads, all of them busy. */
  readonly lanes: number;
  /** Median, of one micro-batch on one lane. */
  readonly micro_batch_ms: number;
  /** Median of what a step takes beside its micro-batches: adding gradients, the update. */
  readonly step_fixed_ms: number;
  /**
   * The same where lanes go from step to step by themselves: alone, or in memory that workers share.
   */
  readonly own_fixed_ms: number;
}

const WARM_UP_STEPS = 2;
const LEAST_STEPS = 5;
/** Steps are measured for so long, or until there are `LEAST_STEPS`. */
const MEASURED_MS = 700;
const CLOSING_MS = 2_000;

/** Names the compiled training step of a plan. */
export function stepSha256({ plan, bytes }: Pick<PlannedRun, 'plan' | 'bytes'>): string {
  return createHash('sha256').update(compiledStepsOf(plan, bytes).train).digest('hex');
}

/**
 * Trains some steps of `planned`, whose strategy must be one of whole steps, on all lanes.
 *
 * Throws: RuntimeError when the step cannot be run here.
 */
export async function measureStep(
  planned: PlannedRun,
  { model, dataset, device, lanes }: Pick<StepProfile, 'model' | 'dataset' | 'device' | 'lanes'>,
): Promise<StepProfile> {
  const steps = new MeasuredSteps(planned);
  const pool = await steps.start(device, lanes);
  try {
    const { microBatch } = planned.plan.job;
    const waves = Math.ceil(fullStepOf(planned.plan.train) / lanes);
    const times: { readonly microBatchMs: number; readonly stepMs: number }[] = [];
    for (let step = 0; step < WARM_UP_STEPS; step++) await steps.train(pool, step);
    const endMs = systemClock.now() + MEASURED_MS;
    while (times.length < LEAST_STEPS || systemClock.now() < endMs)
      times.push(await steps.train(pool, WARM_UP_STEPS + times.length));
    const microBatchMs = median(times.map((time) => time.microBatchMs));
    const stepMs = median(times.map((time) => time.stepMs));
    const ownMs = await steps.follow(pool, WARM_UP_STEPS + times.length, times.length);
    const fixedMs = (wholeMs: number): number =>
      rounded(Math.max(0, wholeMs - waves * microBatchMs));
    return {
      ...{ model, dataset, micro_batch: microBatch, step_sha256: stepSha256(planned) },
      ...{ device, lanes },
      micro_batch_ms: rounded(microBatchMs),
      step_fixed_ms: fixedMs(stepMs),
      own_fixed_ms: fixedMs(Math.min(stepMs, ownMs ?? stepMs)),
    };
  } finally {
    await pool.closed(CLOSING_MS);
  }
}

/** Micro-batches of the first step. */
function fullStepOf({ sampleCount, globalBatch, microBatch }: EpochLayout): number {
  return Math.ceil(Math.min(sampleCount, globalBatch) / microBatch);
}

/** Steps of an epoch without the last, if that has fewer samples; one at least. */
function fullStepsOf({ sampleCount, globalBatch }: EpochLayout): number {
  return Math.max(1, Math.floor(sampleCount / globalBatch));
}

/** Does with an engine what a worker alone does with it, by messages. */
class MeasuredSteps {
  readonly #planned: PlannedRun;
  readonly #exponents: number[];
  readonly #leases: number[];
  /** The largest elements of the gradients so far, per tensor. */
  #maxima: GridMaxima;
  #ownMs: number[] = [];
  #finish: (records: readonly MicroBatchRecord[]) => void = () => {};
  #fail: (error: Error) => void = () => {};

  constructor(planned: PlannedRun) {
    const { job } = planned.plan;
    const count = Math.ceil(job.globalBatch / job.microBatch);
    this.#planned = planned;
    this.#maxima = job.parameters.map(() => 0);
    // Gradients up to 1 have room; what is larger is cut off, and takes as long.
    this.#exponents = gridExponents(
      job.parameters.map(() => 1),
      count,
    );
    this.#leases = Array.from({ length: count }, (_, index) => index);
  }

  async start(device: Device, laneCount: number): Promise<LanePool> {
    const { plan, bytes, data } = this.#planned;
    const { train, evaluate } = compiledStepsOf(plan, bytes);
    const { pool } = await LanePool.create({
      ...{ laneCount, device, job: plan.job },
      optimizer: parseOptimizerSpec(plan.job.optimizer),
      files: {
        train: rewriteStep(train, 'training').file,
        evaluate: rewriteStep(evaluate, 'evaluation').file,
      },
      train: data.train,
      evaluate: data.evaluate,
      handlers: {
        onDone: (_pass, records) => this.#finish(records),
        onAttempted: (attempts) => this.#ownMs.push(...attempts.map(({ elapsedMs }) => elapsedMs)),
        onFailed: (error) => this.#fail(error),
      },
    });
    const state = makeInitialState(plan, bytes.given);
    await this.#until<undefined>((done) => pool.importState(state, () => done(undefined)));
    return pool;
  }

  async train(
    pool: LanePool,
    step: number,
  ): Promise<{ readonly microBatchMs: number; readonly stepMs: number }> {
    const startedMs = systemClock.now();
    const records = await this.#until<readonly MicroBatchRecord[]>((done) => {
      this.#finish = done;
      pool.begin(this.#planOf(step));
    });
    await this.#until<unknown>((done) => pool.apply(this.#commitOf(step), undefined, done));
    const stepMs = systemClock.now() - startedMs;
    this.#maxima = records
      .map(({ maxima }) => maxima.map((value) => value ?? 0))
      .reduce(mergeMaxima, this.#maxima);
    const sumMs = records.reduce((sum, { computeMs }) => sum + computeMs, 0);
    return { microBatchMs: sumMs / records.length, stepMs };
  }

  /**
   * The median time of steps that the lanes make and commit by themselves; undefined where the
   * gradients have no numbers to go on with.
   */
  async follow(pool: LanePool, step: number, count: number): Promise<number | undefined> {
    const { plan } = this.#planned;
    const updates = Array.from({ length: Math.min(count, MAX_GRANTED_STEPS) }, (_, index) => ({
      ...this.#commitOf(step + index).update,
    }));
    const start = { pass: step, maxima: [...this.#maxima], stepsPerEpoch: fullStepsOf(plan.train) };
    pool.follow({ kind: 'grant', step, updates, start });
    // It is answered after the steps.
    await this.#until<undefined>((done) => pool.digest(() => done(undefined)));
    return this.#ownMs.length === 0 ? undefined : median(this.#ownMs);
  }

  async #until<T>(begin: (done: (result: T) => void) => void): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#fail = reject;
      begin(resolve);
    });
  }

  #planOf(step: number): Plan {
    const { train } = this.#planned.plan;
    const steps = fullStepsOf(train);
    return {
      ...{ kind: 'plan', work: 'train', reduction: 'alone' },
      ...{ pass: step, step, epoch: Math.floor(step / steps), stepInEpoch: step % steps },
      ...{ leases: this.#leases, exponents: this.#exponents },
    };
  }

  #commitOf(step: number): Commit {
    const { plan } = this.#planned;
    const update = { sampleCount: plan.job.globalBatch, scalars: { ...scalarsOf(plan, step) } };
    return { kind: 'commit', pass: step, step, exponents: this.#exponents, update };
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

function rounded(value: number): number {
  return Number(value.toPrecision(4));
}
