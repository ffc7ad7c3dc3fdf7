/** The engine of a worker without a cluster around it, on one thread or on lanes. */
import { systemClock } from '../../src/base/clock.ts';
import { parseTrainConfig } from '../../src/config/parse-train-config.ts';
import { dataPlaces, datasetSpecOf, loadRunData, type RunData } from '../../src/job/data-source.ts';
import { makePlan, type PlannedRun } from '../../src/job/make-plan.ts';
import { LaneControl } from '../../src/runtime/lanes/lane-control.ts';
import { Lane } from '../../src/runtime/lanes/lane.ts';
import { layoutOf, makeSharedArena } from '../../src/runtime/lanes/lane-job.ts';
import { makeBlocks } from '../../src/kernels/layout.ts';
import { chooseConvForms } from '../../src/job/form-cache.ts';
import { chooseModel } from '../../src/job/model-source.ts';
import { gridExponents } from '../../src/plan/grid.ts';
import { parseOptimizerSpec } from '../../src/optim/spec.ts';
import { compiledStepsOf, scalarsOf } from '../../src/plan/run-plan.ts';
import type { Commit, MicroBatchRecord, Plan } from '../../src/protocol/messages.ts';
import { makeInitialState } from '../../src/state/initial-state.ts';
import { noteBytesOf } from '../../src/plan/attempt-note.ts';
import { LanePool } from '../../src/runtime/lanes/lane-pool.ts';
import { rewriteStep } from '../../src/runtime/received-step.ts';

/** Times of training steps on lanes. */
export interface StepRates {
  readonly stepMs: number;
  readonly samplesPerSecond: number;
  /** Means per step, milliseconds: computing, on the busiest lane; the update; the rest. */
  readonly split: { readonly compute: number; readonly apply: number; readonly other: number };
}

/** A run as the engine needs it. */
export interface EnginePlan {
  readonly planned: PlannedRun;
  readonly data: RunData;
  /** From the model to the compiled step, the choice of convolution forms included. */
  readonly compileMs: number;
}

/** Loads the data and compiles the run of a configuration, given as `train` takes it. */
export async function planRun(
  settings: Readonly<Record<string, unknown>>,
  formCacheDir?: string,
): Promise<EnginePlan> {
  const { config } = parseTrainConfig([], { seed: 7, epochs: 100, ...settings });
  const places = dataPlaces(undefined, process.env);
  const data = await loadRunData(datasetSpecOf(config), places);
  const startedMs = systemClock.now();
  const chosen = chooseModel(config, data.train);
  const chooseForm =
    config.convForms === 'measured'
      ? await chooseConvForms(chosen.model, config.microBatch, {
          cacheDir: formCacheDir ?? places.cacheDir,
          onNote: console.error,
        })
      : undefined;
  const planned = makePlan(config, data, { runId: 'bench', minWorkers: 1, chosen, chooseForm });
  return { planned, data, compileMs: systemClock.now() - startedMs };
}

/**
 * Whole training steps in this very thread: load the batch, run, round and add gradients, update.
 */
export async function measureOneThread(
  { planned, data }: EnginePlan,
  warmup: number,
  steps: number,
): Promise<StepRates> {
  const { job } = planned.plan;
  const control = new LaneControl(1, 4096);
  const lane = await makeLane({ planned, data }, control);
  const steering = new Steering(planned, data);
  const split = { compute: 0, apply: 0, other: 0 };
  const times: number[] = [];
  for (let step = 0; step < warmup + steps; step++) {
    const startedMs = systemClock.now();
    const message = steering.plan(step);
    control.clear();
    control.lease(message.leases);
    await lane.pass(message);
    const computedMs = systemClock.now();
    lane.apply(steering.commit(step), 'own');
    const endedMs = systemClock.now();
    if (step < warmup) continue;
    split.compute += (computedMs - startedMs) / steps;
    split.apply += (endedMs - computedMs) / steps;
    times.push(endedMs - startedMs);
  }
  const stepMs = times.reduce((a, b) => a + b, 0) / steps;
  return { stepMs, samplesPerSecond: (job.globalBatch / stepMs) * 1_000, split };
}

/** A worker's only lane, in this thread, with the initial state. */
async function makeLane(
  { planned, data }: Pick<EnginePlan, 'planned' | 'data'>,
  control: LaneControl,
): Promise<Lane> {
  const { plan, bytes } = planned;
  const { job } = plan;
  const optimizer = parseOptimizerSpec(job.optimizer);
  const { train, evaluate } = compiledStepsOf(plan, bytes);
  const shared = makeSharedArena(job, optimizer, 1);
  const capacity = 4096;
  const noteBytes = noteBytesOf(job.parameters.length, capacity);
  const lane = await Lane.create({
    lane: 0,
    laneCount: 1,
    device: 'cpu',
    job,
    optimizer,
    trainModel: rewriteStep(train, 'training').file,
    evaluateModel: rewriteStep(evaluate, 'evaluation').file,
    train: data.train,
    evaluate: data.evaluate,
    sharedMemory: shared.memory,
    control: control.words,
    microBatchCapacity: capacity,
    notes: new Uint8Array(new SharedArrayBuffer(noteBytes)),
    losses: new Float32Array(new SharedArrayBuffer(8 * capacity)),
    blockSums: new Float64Array(new SharedArrayBuffer(8 * makeBlocks(layoutOf(job)).length)),
  });
  shared.uint8('state').set(makeInitialState(plan, bytes.given));
  lane.importState();
  return lane;
}

/** Messages of a coordinator for step after step, with a grid that never overflows here. */
class Steering {
  readonly #planned: PlannedRun;
  readonly #exponents: number[];
  readonly #leases: number[];
  readonly #stepsPerEpoch: number;

  constructor(planned: PlannedRun, data: RunData) {
    const { job } = planned.plan;
    this.#planned = planned;
    this.#exponents = gridExponents(
      job.parameters.map(() => 1),
      job.globalBatch / job.microBatch,
    );
    this.#leases = Array.from({ length: job.globalBatch / job.microBatch }, (_, index) => index);
    this.#stepsPerEpoch = Math.floor(data.train.sampleCount / job.globalBatch);
  }

  plan(step: number): Plan {
    return {
      kind: 'plan',
      pass: step,
      work: 'train',
      step,
      epoch: Math.floor(step / this.#stepsPerEpoch),
      stepInEpoch: step % this.#stepsPerEpoch,
      leases: this.#leases,
      exponents: this.#exponents,
      reduction: 'alone',
    };
  }

  commit(step: number): Commit {
    const { plan } = this.#planned;
    const update = { sampleCount: plan.job.globalBatch, scalars: { ...scalarsOf(plan, step) } };
    return { kind: 'commit', pass: step, step, exponents: this.#exponents, update };
  }
}

/** Trains `steps` whole steps on lanes after `warmup` ones. */
export async function measureSteps(
  { planned, data }: EnginePlan,
  laneCount: number,
  warmup: number,
  steps: number,
): Promise<StepRates> {
  let finished: (records: readonly MicroBatchRecord[]) => void = () => {};
  const pool = await makePool({ planned, data }, laneCount, (records) => finished(records));
  const steering = new Steering(planned, data);
  const split = { compute: 0, apply: 0, other: 0 };
  let startedMs = 0;
  for (let step = 0; step < warmup + steps; step++) {
    if (step === warmup) {
      startedMs = systemClock.now();
      split.compute = split.apply = 0;
    }
    const beganMs = systemClock.now();
    await new Promise<readonly MicroBatchRecord[]>((resolve) => {
      finished = resolve;
      pool.begin(steering.plan(step));
    });
    const computedMs = systemClock.now();
    split.compute += computedMs - beganMs;
    await new Promise<unknown>((resolve) => pool.apply(steering.commit(step), undefined, resolve));
    split.apply += systemClock.now() - computedMs;
  }
  const totalMs = systemClock.now() - startedMs;
  await pool.closed(2_000);
  const stepMs = totalMs / steps;
  const mean = (ms: number): number => ms / steps;
  return {
    stepMs,
    samplesPerSecond: (planned.plan.job.globalBatch / stepMs) * 1_000,
    split: {
      compute: mean(split.compute),
      apply: mean(split.apply),
      other: mean(totalMs - split.compute - split.apply),
    },
  };
}

/** Lanes of one worker on threads, with the initial state. */
async function makePool(
  { planned, data }: Pick<EnginePlan, 'planned' | 'data'>,
  laneCount: number,
  onDone: (records: readonly MicroBatchRecord[]) => void,
): Promise<LanePool> {
  const { plan, bytes } = planned;
  const { job } = plan;
  const optimizer = parseOptimizerSpec(job.optimizer);
  const { train, evaluate } = compiledStepsOf(plan, bytes);
  const { pool } = await LanePool.create({
    laneCount,
    device: 'cpu',
    job,
    optimizer,
    files: {
      train: rewriteStep(train, 'training').file,
      evaluate: rewriteStep(evaluate, 'evaluation').file,
    },
    train: data.train,
    evaluate: data.evaluate,
    handlers: {
      onDone: (_pass, records) => onDone(records),
      onAttempted: () => {},
      onFailed: (error) => {
        throw error;
      },
    },
  });
  await new Promise<void>((resolve) =>
    pool.importState(makeInitialState(plan, bytes.given), resolve),
  );
  return pool;
}
