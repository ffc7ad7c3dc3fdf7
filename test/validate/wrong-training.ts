/**
 * Data-parallel training with a mistake in it, on the real engine: what a broken build would write.
 * For the tests of what must notice.
 *
 *     node --import tsx test/validate/wrong-training.ts <mistake> <result.json> [workers] [steps]
 *     [seed] [shares]
 *
 * Mistakes: `none`, the control, which has the bits of `lockstep run`; `no-exchange`, every replica
 *           updates with its own
 * gradients; `unweighted-average`, replicas with unequal shares (3,1: three quarters and one
 * quarter of the micro-batches) count the same; `corrupted-worker`, from the eleventh step on the
 * sums of rank 1 come with the wrong sign.
 */
import { totalmem } from 'node:os';
import { systemClock } from '../../src/base/clock.ts';
import { microBatchesOfStep, stepsPerEpoch } from '../../src/data/batches.ts';
import { dataPlaces, datasetSpecOf, loadRunData } from '../../src/job/data-source.ts';
import { makePlan, type PlannedRun } from '../../src/job/make-plan.ts';
import { digestsOf } from '../../src/state/digest.ts';
import type { RankStep, StepCommitted } from '../../src/metrics/events.ts';
import { stateElementCountOf } from '../../src/models/model.ts';
import {
  gridExponents,
  type GridMaxima,
  mergeMaxima,
  nextMaxima,
  overflowsGrid,
} from '../../src/plan/grid.ts';
import { learningRateOf } from '../../src/plan/run-plan.ts';
import { canonicalResult } from '../../src/validate/watch/canonical-result.ts';
import { writeOutput } from '../../src/validate/results/output-file.ts';
import type { Result } from '../../src/validate/results/result.ts';
import { isoOf } from '../../src/validate/results/timestamp.ts';
import { StepRecorder } from '../../src/validate/watch/step-recorder.ts';
import { trainingPayload } from '../../src/validate/watch/training-payload.ts';
import { type Part, type Place, Replica } from './replica.ts';
import {
  DEFAULT_WORKLOAD,
  workloadConfig,
  type WorkloadOptions,
} from '../../src/validate/watch/workloads.ts';

export const MISTAKES = ['none', 'no-exchange', 'unweighted-average', 'corrupted-worker'] as const;
export type Mistake = (typeof MISTAKES)[number];

export interface WrongTrainingOptions extends Partial<WorkloadOptions> {
  readonly mistake: Mistake;
  /** Relative sizes of the replicas' parts, by rank; equal when not given. */
  readonly shares?: readonly number[];
}

/** The first step (from 0) in which `corrupted-worker` is. */
export const CORRUPTED_FROM_STEP = 10;
const CORRUPTED_RANK = 1;

/** Trains, and gives the canonical result that such a build would have written. */
export async function trainWrongly({
  mistake,
  shares,
  ...given
}: WrongTrainingOptions): Promise<Result> {
  const options = { ...DEFAULT_WORKLOAD, ...given };
  const config = workloadConfig(options);
  const data = await loadRunData(datasetSpecOf(config), dataPlaces(undefined, process.env));
  const planned = makePlan(config, data, { runId: 'wrong-training', minWorkers: options.workers });
  const replicas: Replica[] = [];
  try {
    for (let rank = 0; rank < options.workers; rank++)
      replicas.push(await Replica.create(planned, data));
    return await train(mistake, options, planned, replicas, shares ?? replicas.map(() => 1));
  } finally {
    for (const replica of replicas) await replica.close();
  }
}

async function train(
  mistake: Mistake,
  options: WorkloadOptions,
  planned: PlannedRun,
  replicas: readonly Replica[],
  shares: readonly number[],
): Promise<Result> {
  const { plan, model } = planned;
  const recorder = new StepRecorder();
  // Replicas that exchange nothing share no sum, and no grid either.
  const groups =
    mistake === 'no-exchange'
      ? replicas.map((replica) => new Group(mistake, [replica]))
      : [new Group(mistake, replicas)];
  const perEpoch = stepsPerEpoch(plan.train.sampleCount, plan.train.globalBatch);
  for (let step = 0; step < options.steps; step++) {
    const beganMs = systemClock.now();
    const when = { step, epoch: Math.floor(step / perEpoch), stepInEpoch: step % perEpoch };
    const { microBatchCount, sampleCount } = microBatchesOfStep(plan.train, when.stepInEpoch);
    const leases = cut(microBatchCount, shares);
    const parts: Part[] = [];
    for (const group of groups) {
      const own = leases.splice(0, group.size);
      parts.push(...(await group.train(when, own, microBatchCount, plan.job.parameters.length)));
    }
    const ms = systemClock.now();
    const event: StepCommitted = {
      kind: 'step',
      step: step + 1,
      epoch: when.epoch,
      sampleCount,
      lossMean: lossOf(parts) / sampleCount,
      learningRate: learningRateOf(plan, step),
      ...timesOf(parts, ms - beganMs),
    };
    recorder.add(event, { ms, wallMs: Date.now() });
  }
  const digests = digestsOf(await replicas[0]!.state(), stateElementCountOf(model));
  const payload = trainingPayload(recorder, { options, ...digests, more: { mistake } });
  return canonicalResult(payload, {
    batchSize: options.batchSize,
    memoryPercent: (process.memoryUsage.rss() / totalmem()) * 100,
    timestamp: isoOf(Date.now()),
  });
}

/** Replicas that add their gradients up. */
class Group {
  readonly size: number;
  readonly #mistake: Mistake;
  readonly #replicas: readonly Replica[];
  #maxima: GridMaxima | undefined;

  constructor(mistake: Mistake, replicas: readonly Replica[]) {
    this.size = replicas.length;
    this.#mistake = mistake;
    this.#replicas = replicas;
  }

  /** One step; computed again until its gradients fit the grid, as the coordinator does. */
  async train(
    when: Omit<Place, 'exponents'>,
    leases: readonly (readonly number[])[],
    microBatchCount: number,
    tensorCount: number,
  ): Promise<readonly Part[]> {
    for (;;) {
      const before = this.#maxima;
      const expected = before ?? Array.from({ length: tensorCount }, () => 1);
      const exponents = gridExponents(expected, microBatchCount);
      const place = { ...when, exponents: [...exponents] };
      const parts = await Promise.all(
        this.#replicas.map(async (replica, i) => replica.compute(place, leases[i] ?? [])),
      );
      // The first grid is that of the first micro-batch.
      const seen = parts.flatMap(({ records }) =>
        records
          .filter(({ microBatch }) => before !== undefined || microBatch === 0)
          .map((record) => record.maxima.map((m) => m ?? 0)),
      );
      // A replica may have no part in the last step of an epoch.
      const observed = seen.length === 0 ? expected : seen.reduce(mergeMaxima);
      const isOver = before !== undefined && overflowsGrid(observed, exponents, microBatchCount);
      this.#maxima = isOver
        ? mergeMaxima(observed, before)
        : nextMaxima(before ?? observed, observed);
      if (before === undefined || isOver) continue;
      const total = combine(this.#mistake, when.step, parts);
      const samples = parts.reduce((sum, part) => sum + part.sampleCount, 0);
      for (const replica of this.#replicas) await replica.apply(place, total, samples);
      return parts;
    }
  }
}

/** The total that replicas of one group apply. */
function combine(mistake: Mistake, step: number, parts: readonly Part[]): Int32Array {
  const samples = parts.reduce((sum, part) => sum + part.sampleCount, 0);
  const busy = parts.filter((part) => part.sampleCount > 0).length;
  const total = new Float64Array(parts[0]!.sum.length);
  for (const [rank, part] of parts.entries()) {
    if (part.sampleCount === 0) continue;
    let weight = 1;
    if (mistake === 'unweighted-average') weight = samples / (busy * part.sampleCount);
    if (mistake === 'corrupted-worker' && step >= CORRUPTED_FROM_STEP && rank === CORRUPTED_RANK)
      weight = -1;
    for (let i = 0; i < total.length; i++) total[i] = total[i]! + weight * part.sum[i]!;
  }
  return Int32Array.from(total, (value) => Math.round(value));
}

/** In order of micro-batch, as the coordinator adds losses. */
function lossOf(parts: readonly Part[]): number {
  const records = parts.flatMap((part) => part.records).sort((a, b) => a.microBatch - b.microBatch);
  return records.reduce((sum, record) => sum + (record.lossSum ?? 0), 0);
}

function timesOf(parts: readonly Part[], stepMs: number) {
  const ranks = parts.map(({ records, sampleCount }, rank): RankStep => {
    const computeMs = Math.min(
      stepMs,
      records.reduce((sum, record) => sum + record.computeMs, 0),
    );
    const waitMs = stepMs - computeMs;
    return {
      rank,
      samples: sampleCount,
      microBatches: records.length,
      computeMs,
      communicateMs: 0,
      waitMs,
    };
  });
  const computeMs = ranks.reduce((sum, rank) => sum + rank.computeMs, 0) / ranks.length;
  return { stepMs, computeMs, communicateMs: 0, waitMs: stepMs - computeMs, otherMs: 0, ranks };
}

/**
 * Micro-batches 0 .. count - 1, cut into parts of these relative sizes, each a run of neighbours.
 */
function cut(count: number, shares: readonly number[]): number[][] {
  const whole = shares.reduce((sum, share) => sum + share, 0);
  let before = 0;
  return shares.map((share) => {
    const start = Math.round((before / whole) * count);
    before += share;
    const end = Math.round((before / whole) * count);
    return Array.from({ length: end - start }, (_, i) => start + i);
  });
}

if (process.argv[1] === import.meta.filename) {
  const [mistake, path, workers = '2', steps = '100', seed = '42', shares] = process.argv.slice(2);
  const known = MISTAKES.find((name) => name === mistake);
  if (known === undefined || path === undefined)
    throw new Error(`expected one of ${MISTAKES.join(', ')} and the path of the result`);
  const result = await trainWrongly({
    mistake: known,
    workers: Number(workers),
    steps: Number(steps),
    seed: Number(seed),
    ...(shares !== undefined && { shares: shares.split(',').map(Number) }),
  });
  writeOutput(path, `${JSON.stringify(result, null, 2)}\n`);
}
