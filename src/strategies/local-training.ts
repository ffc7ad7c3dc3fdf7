/**
 * Trains on one shard of a round: a run in miniature, with its own optimizer and its own grid, on
 * the lanes of one worker. Nothing leaves the worker before the end.
 */
import { invariant } from '../base/errors.ts';
import { microBatchesOfStep, stepsPerEpoch } from '../data/batches.ts';
import { type LocalStep, localStepAt, localStepCount, type RoundLayout } from '../data/shards.ts';
import { optimizerScalars } from '../optim/scalars.ts';
import type { OptimizerSpec } from '../optim/spec.ts';
import {
  gridExponents,
  type GridMaxima,
  mergeMaxima,
  nextMaxima,
  overflowsGrid,
} from '../plan/grid.ts';
import type { Commit, Job, MicroBatchRecord, Plan } from '../protocol/messages.ts';
import type { Engine } from '../runtime/engine.ts';
import { parseRoundsSpec } from './rounds-spec.ts';

/** What a shard is trained with. */
export interface LocalRecipe {
  readonly layout: RoundLayout;
  readonly optimizer: OptimizerSpec;
  /** Learning rate per round; the last holds for all further ones. */
  readonly rates: readonly number[];
  /** Parameter tensors. */
  readonly tensorCount: number;
}

/** What training on a shard came to, apart from the weights. */
export interface LocalOutcome {
  /**
   * Sum over the samples of all its steps, each before its update; null as soon as one was not
   * finite.
   */
  readonly lossSum: number | null;
  readonly correctSum: number;
}

/** Reads the recipe of a job that is done in rounds. Throws ProtocolError for any other. */
export function localRecipeOf(
  job: Job,
  optimizer: OptimizerSpec,
  sampleCount: number,
): LocalRecipe {
  const { globalBatch, microBatch, parameters } = job;
  const { shards, localEpochs, roundsPerEpoch = 1, rates } = parseRoundsSpec(job);
  const layout = { sampleCount, globalBatch, microBatch, shards, localEpochs, roundsPerEpoch };
  return { layout, optimizer, rates, tensorCount: parameters.length };
}

/** The lanes of a worker, one thing after the other. */
export class LocalLanes {
  readonly #engine: Engine;
  #awaited: ((records: readonly MicroBatchRecord[]) => void) | undefined;
  #passCount = 0;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** To be called with what the engine has done; false when it was nothing of ours. */
  receive(records: readonly MicroBatchRecord[]): boolean {
    const awaited = this.#awaited;
    this.#awaited = undefined;
    awaited?.(records);
    return awaited !== undefined;
  }

  /** Begins from `weights`, unpadded, with an optimizer that has done nothing yet. */
  async load(weights: Float32Array): Promise<void> {
    const target = this.#engine.stateTarget();
    invariant(target !== undefined, 'nobody else uses the state of the lanes');
    const state = new Float32Array(target.buffer, target.byteOffset, target.length / 4);
    state.set(weights);
    state.fill(0, weights.length);
    return new Promise((done) => this.#engine.importState(target, done));
  }

  /**
   * Computes all micro-batches of a step; gives their records in order, so that sums over them have
   * one order.
   */
  async compute(
    step: Omit<Plan, 'kind' | 'pass' | 'work' | 'reduction'>,
  ): Promise<MicroBatchRecord[]> {
    const computed = new Promise<readonly MicroBatchRecord[]>(
      (resolve) => (this.#awaited = resolve),
    );
    this.#engine.begin({
      kind: 'plan',
      pass: this.#passCount++,
      work: 'train',
      reduction: 'alone',
      ...step,
    });
    return [...(await computed)].sort((a, b) => a.microBatch - b.microBatch);
  }

  /** Updates the weights by what was last computed; what is asked for next waits for it. */
  update(step: number, exponents: readonly number[], update: Commit['update']): void {
    const commit: Commit = {
      kind: 'commit',
      pass: this.#passCount,
      step,
      exponents: [...exponents],
      update,
    };
    this.#engine.apply(commit, undefined, () => {});
  }

  /** The weights, unpadded: a view that the next use of the lanes overwrites. */
  async weights(count: number): Promise<Float32Array> {
    const bytes = await new Promise<Uint8Array>((done) => this.#engine.exportState(done));
    return new Float32Array(bytes.buffer, bytes.byteOffset, count);
  }
}

/**
 * Trains on shard `shard` of round `round` from the weights that `lanes` hold, which then hold the
 * result. Gives undefined when `isVoid`, asked before every step, says so.
 *
 * The result is a function of the recipe, the data and the weights alone: not of the number of
 * lanes, nor of what they did before. With one shard, its updates are those of ordinary training.
 */
export async function trainOnShard(
  lanes: LocalLanes,
  recipe: LocalRecipe,
  { round, shard }: { readonly round: number; readonly shard: number },
  isVoid: () => boolean,
): Promise<LocalOutcome | undefined> {
  const { layout, optimizer, rates, tensorCount } = recipe;
  const rate = rates[Math.min(round, rates.length - 1)] ?? 0;
  const grid = new LocalGrid(tensorCount);
  let [lossSum, correctSum] = [0, 0];
  for (let index = 0; index < localStepCount(layout, round, shard); index++) {
    if (isVoid()) return undefined;
    const { epoch, stepInEpoch } = localStepAt(layout, round, shard, index);
    const { microBatchCount, sampleCount } = microBatchesOfStep(layout, stepInEpoch);
    // Masks of dropout follow from the step's number: it is that of ordinary training.
    const step = epoch * stepsPerEpoch(layout.sampleCount, layout.globalBatch) + stepInEpoch;
    const computed = await computeStep(lanes, grid, { step, epoch, stepInEpoch, microBatchCount });
    if (computed === undefined) return { lossSum: null, correctSum };
    for (const record of computed.records) {
      lossSum += record.lossSum ?? 0;
      correctSum += record.correctSum;
    }
    const scalars = { ...optimizerScalars(optimizer, index + 1, rate) };
    lanes.update(step, computed.exponents, { sampleCount, scalars });
  }
  return { lossSum, correctSum };
}

/**
 * Computes a step until its gradients lie on their grid; undefined when something is not finite.
 */
async function computeStep(
  lanes: LocalLanes,
  grid: LocalGrid,
  {
    microBatchCount,
    ...step
  }: LocalStep & { readonly step: number; readonly microBatchCount: number },
): Promise<
  | { readonly records: readonly MicroBatchRecord[]; readonly exponents: readonly number[] }
  | undefined
> {
  const all = Array.from({ length: microBatchCount }, (_, microBatch) => microBatch);
  for (;;) {
    const exponents = grid.exponents(microBatchCount);
    const leases = grid.isMeasured ? all : all.slice(0, 1);
    const records = await lanes.compute({ ...step, leases, exponents });
    if (records.some(({ lossSum, maxima }) => lossSum === null || maxima.includes(null)))
      return undefined;
    if (grid.accepts(records, exponents)) return { records, exponents };
  }
}

/**
 * The grid of a shard's gradients, which begins anew with every task: it must not depend on what
 * was done before.
 */
class LocalGrid {
  readonly #tensorCount: number;
  #maxima: GridMaxima | undefined;

  constructor(tensorCount: number) {
    this.#tensorCount = tensorCount;
  }

  /** Whether the grid is known: one micro-batch has been computed to learn it. */
  get isMeasured(): boolean {
    return this.#maxima !== undefined;
  }

  exponents(microBatchCount: number): number[] {
    return gridExponents(
      this.#maxima ?? Array.from({ length: this.#tensorCount }, () => 1),
      microBatchCount,
    );
  }

  /**
   * Whether gradients lie on the grid they were rounded to; if not, the step is to be computed
   * again on a wider one.
   */
  accepts(records: readonly MicroBatchRecord[], exponents: readonly number[]): boolean {
    const observed = records
      .map(({ maxima }) => maxima.map((value) => value ?? 0))
      .reduce(mergeMaxima);
    const before = this.#maxima;
    const isWide = before !== undefined && !overflowsGrid(observed, exponents, records.length);
    if (before === undefined) this.#maxima = observed;
    else this.#maxima = isWide ? nextMaxima(before, observed) : mergeMaxima(observed, before);
    return isWide;
  }
}
