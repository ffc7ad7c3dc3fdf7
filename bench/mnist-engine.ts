/** The engine of a worker on MNIST without a cluster around it: what the lanes themselves can do. */
import { systemClock } from '../src/base/clock.ts';
import { parseTrainConfig } from '../src/config/parse-train-config.ts';
import { dataPlaces, loadRunData, type RunData } from '../src/launch/data-source.ts';
import { datasetSpecOf, makeRunPlan, type PlannedRun } from '../src/launch/make-run-plan.ts';
import { gridExponents } from '../src/plan/grid.ts';
import type { MicroBatchRecord, Plan } from '../src/protocol/messages.ts';
import { LanePool } from '../src/runtime/lane-pool.ts';

/** Times of training steps on lanes. */
export interface StepRates {
  readonly stepMs: number;
  readonly samplesPerSecond: number;
  /** Means per step, milliseconds: computing micro-batches on the busiest lane; applying the update; the rest. */
  readonly split: { readonly compute: number; readonly apply: number; readonly other: number };
}

/** Loads MNIST and plans a run of `microBatches` micro-batches of `microBatch` samples a step. */
export async function planMnist(microBatch: number, microBatches: number): Promise<{ planned: PlannedRun; data: RunData }> {
  const { config } = parseTrainConfig([], { microBatch, globalBatch: microBatch * microBatches, seed: 7, epochs: 100 });
  const data = await loadRunData(datasetSpecOf(config), dataPlaces(undefined, process.env));
  return { planned: makeRunPlan(config, data, 'bench', 1), data };
}

/** Trains `steps` whole steps (load, run, round, add, update) after `warmup` ones. */
export async function measureSteps(
  { planned, data }: Awaited<ReturnType<typeof planMnist>>,
  laneCount: number,
  warmup: number,
  steps: number,
): Promise<StepRates> {
  const { plan, optimizer } = planned;
  const { job } = plan;
  let finished: (records: readonly MicroBatchRecord[]) => void = () => {};
  const { pool } = await LanePool.create({
    laneCount,
    job,
    optimizer,
    files: { train: plan.jobFiles.slice(0, job.trainBytes), evaluate: plan.jobFiles.slice(job.trainBytes) },
    train: data.train,
    evaluate: data.evaluate,
    handlers: {
      onDone: (_pass, records) => finished(records),
      onFailed: (error) => {
        throw error;
      },
    },
  });
  await new Promise<void>((resolve) => pool.importState(plan.initialState, resolve));
  const exponents = gridExponents(job.parameters.map(() => 1), job.globalBatch / job.microBatch);
  const leases = Array.from({ length: job.globalBatch / job.microBatch }, (_, index) => index);
  const stepsPerEpoch = Math.floor(data.train.sampleCount / job.globalBatch);
  const split = { compute: 0, apply: 0, other: 0 };
  let startedMs = 0;
  for (let step = 0; step < warmup + steps; step++) {
    if (step === warmup) {
      startedMs = systemClock.now();
      split.compute = split.apply = 0;
    }
    const message: Plan = {
      kind: 'plan', pass: step, work: 'train', step, epoch: Math.floor(step / stepsPerEpoch),
      stepInEpoch: step % stepsPerEpoch, leases, exponents, reduction: 'alone',
    }; // prettier-ignore
    const beganMs = systemClock.now();
    await new Promise<readonly MicroBatchRecord[]>((resolve) => {
      finished = resolve;
      pool.begin(message);
    });
    const computedMs = systemClock.now();
    split.compute += computedMs - beganMs;
    const update = { sampleCount: job.globalBatch, scalars: { ...plan.scalarsOf(step) } };
    await new Promise<unknown>((resolve) => pool.apply({ kind: 'commit', pass: step, step, exponents, update }, undefined, resolve));
    split.apply += systemClock.now() - computedMs;
  }
  const totalMs = systemClock.now() - startedMs;
  await pool.closed(2_000);
  const stepMs = totalMs / steps;
  const mean = (ms: number): number => ms / steps;
  return {
    stepMs,
    samplesPerSecond: (job.globalBatch / stepMs) * 1_000,
    split: { compute: mean(split.compute), apply: mean(split.apply), other: mean(totalMs - split.compute - split.apply) },
  };
}
