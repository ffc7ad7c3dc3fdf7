/**
 * The state of a run that is done in rounds, as one worker has it: the weights that shards start
 * from, what the update of rounds keeps beside them, and what becomes of both.
 *
 * Where only a part of what shards changed travels, the state also has an **estimate** of the outer
 * gradient, of which shards tell what is wrong with it:
 *
 *   h' = h + sum_k C(n_k ((w - w_k) - h)) / sum_k n_k;  the update's gradient is h'
 *
 * So what did not travel is in the difference again in the next round, until it does: error
 * feedback, without anything that only whoever trained a shard would know. The estimate follows
 * from totals alone, everybody has the same, and newcomers get it with the state.
 * Source: Richtárik et al. 2021, "EF21: A New, Simpler, Theoretically Better, and Practically
 * Faster Error Feedback", with one estimate for all.
 */
import type { RandomWords } from '../base/random.ts';
import { Arena } from '../kernels/arena.ts';
import { type Kernels, loadKernels } from '../kernels/kernels.ts';
import {
  type ArenaLayout,
  makeArenaLayout,
  packRegion,
  type TensorSlot,
  unpackRegion,
} from '../kernels/layout.ts';
import { applyOptimizer } from '../optim/apply.ts';
import {
  type OptimizerScalars,
  optimizerScalars,
  parseOptimizerScalars,
} from '../optim/scalars.ts';
import type { OptimizerSpec } from '../optim/spec.ts';
import type { Commit, Job, MicroBatchRecord } from '../protocol/messages.ts';
import { gridExponents } from '../plan/grid.ts';
import { optimizerRegionsOf, stateRegionsOf } from '../state/state-layout.ts';
import { AVERAGING, AVERAGING_SCHEDULE } from './averaging.ts';
import { keepLargest, roundToInt8 } from './change-codec.ts';

/** What training on a shard changed: start minus end, times samples, in the layout of an arena. */
export type Change = Float32Array;

/** What a record says of a change that is rounded to the grid. */
export type ChangeNumbers = Required<
  Pick<MicroBatchRecord, 'maxima' | 'checksum' | 'weightsChecksum'>
>;

/** How a change is made smaller: a part of it is kept, and rounded with these words. */
export interface ChangeCodec {
  readonly words: RandomWords;
  /** Part of the elements that is kept; all if absent. */
  readonly topKPart?: number | undefined;
}

/** The name of the region with what is expected of the outer gradient. */
const ESTIMATE = 'estimate';
/** With these, averaging adds the mean to what it is applied to. */
const ADDING_SCALARS = optimizerScalars(AVERAGING, 1, -1);

/** Running statistics are averaged whatever the update of the weights is: they are no gradient. */
const AVERAGING_SCALARS = optimizerScalars(AVERAGING, 1, AVERAGING_SCHEDULE.learningRate);

/** Holds the state after the last round, and adds up what shards change of its weights. */
export class RoundState {
  readonly #parameters: Job['parameters'];
  /** What a round ends with (outer-update.ts). */
  readonly #optimizer: OptimizerSpec;
  readonly #layout: ArenaLayout;
  /** The regions of the state, in canonical order. */
  readonly #names: readonly string[];
  /** Those, one `change`, and the int32 `sum` of rounded changes. */
  readonly #arena: Arena;
  readonly #kernels: Kernels;

  /** With `isEstimating` the state has an estimate of the outer gradient behind all else. */
  constructor(parameters: Job['parameters'], optimizer: OptimizerSpec, isEstimating = false) {
    this.#parameters = parameters;
    this.#optimizer = optimizer;
    this.#layout = makeArenaLayout(parameters);
    const byteLength = 4 * this.#layout.paddedLength;
    this.#names = [...stateRegionsOf(optimizer), ...(isEstimating ? [ESTIMATE] : [])];
    const names = [...this.#names, 'change', 'sum'];
    this.#arena = new Arena(names.map((name) => ({ name, byteLength })));
    this.#kernels = loadKernels(this.#arena.memory, false);
  }

  /** Elements of the weights, without padding. */
  get weightCount(): number {
    return this.#layout.length;
  }

  /** A copy of the weights, unpadded. */
  weights(): Float32Array<ArrayBuffer> {
    const packed = new Float32Array(this.#layout.length);
    packRegion(this.#arena.float32('weights'), this.#layout, packed);
    return packed;
  }

  /** A copy of the state, unpadded: weights, the regions of the optimizer, the estimate. */
  packed(): Float32Array<ArrayBuffer> {
    const { length } = this.#layout;
    const packed = new Float32Array(this.#names.length * length);
    for (const [i, name] of this.#names.entries())
      packRegion(
        this.#arena.float32(name),
        this.#layout,
        packed.subarray(i * length, (i + 1) * length),
      );
    return packed;
  }

  /** Takes over an unpadded state. */
  set(packed: Float32Array): void {
    const { length } = this.#layout;
    for (const [i, name] of this.#names.entries())
      unpackRegion(
        packed.subarray(i * length, (i + 1) * length),
        this.#layout,
        this.#arena.float32(name),
      );
  }

  /**
   * What training on `sampleCount` samples changed, if it ended with `end` (unpadded), beyond the
   * estimate if there is one; each element is rounded once. With `codec` the change is then made
   * smaller (change-codec.ts), but for running statistics, which may not come below what was
   * observed.
   */
  changeTo(end: Float32Array, sampleCount: number, codec?: ChangeCodec): Change {
    const start = this.#arena.float32('weights');
    const estimate = this.#isEstimating ? this.#arena.float32(ESTIMATE) : undefined;
    const change = new Float32Array(this.#layout.paddedLength);
    let position = 0;
    for (const { offset, length } of this.#layout.tensors) {
      for (let i = 0; i < length; i++) {
        const moved = (start[offset + i] ?? 0) - (end[position + i] ?? 0);
        change[offset + i] = (moved - (estimate?.[offset + i] ?? 0)) * sampleCount;
      }
      position += length;
    }
    if (codec !== undefined) {
      const trained = this.#layout.tensors.filter((_, tensor) => !this.#isStatistic(tensor));
      if (codec.topKPart !== undefined) keepLargest(change, trained, codec.topKPart);
      roundToInt8(change, trained, codec.words);
    }
    return change;
  }

  get #isEstimating(): boolean {
    return this.#names.includes(ESTIMATE);
  }

  #isStatistic(tensor: number): boolean {
    return this.#parameters[tensor]?.statisticMomentum !== null;
  }

  /** The sum, int32: a view that the next changes go into. */
  get sum(): Uint8Array {
    return this.#arena.uint8('sum');
  }

  clearSum(): void {
    this.#kernels.zeroBytes(this.#arena.byteOffset('sum'), this.#arena.byteLength('sum'));
  }

  /** Rounds a change to the grid of these exponents and adds it to the sum. */
  add(change: Change, exponents: readonly number[]): ChangeNumbers {
    const numbers = this.measure(change, exponents);
    for (const [tensor, { offset, paddedLength }] of this.#layout.tensors.entries()) {
      const values = this.#arena.byteOffset('change', offset);
      const scale = 2 ** (exponents[tensor] ?? 0);
      this.#kernels.quantizeAdd(values, this.#arena.byteOffset('sum', offset), paddedLength, scale);
    }
    return numbers;
  }

  /** The numbers of a change, which is not added. */
  measure(change: Change, exponents: readonly number[]): ChangeNumbers {
    this.#arena.float32('change').set(change);
    let checksum = 0;
    const maxima = this.#layout.tensors.map(({ offset, paddedLength }, tensor) => {
      const values = this.#arena.byteOffset('change', offset);
      const scale = 2 ** (exponents[tensor] ?? 0);
      checksum =
        (checksum + this.#kernels.gradientChecksum(values, paddedLength, scale, offset)) >>> 0;
      const maximum = this.#kernels.maxAbs(values, paddedLength);
      return Number.isFinite(maximum) ? maximum : null;
    });
    const weights = this.#arena.byteOffset('weights');
    const weightsChecksum = this.#kernels.checksum(weights, this.#layout.paddedLength, 0) >>> 0;
    return { maxima, checksum, weightsChecksum };
  }

  /** Ends a round: updates the state by the sum of what all workers' shards changed. */
  update({ exponents, update }: Pick<Commit, 'exponents' | 'update'>): void {
    const scalars = parseOptimizerScalars(update.scalars);
    for (const [tensor, slot] of this.#layout.tensors.entries()) {
      const factor = 2 ** -(exponents[tensor] ?? 0) / update.sampleCount;
      if (this.#isStatistic(tensor)) this.#apply(AVERAGING, AVERAGING_SCALARS, slot, factor);
      else if (!this.#isEstimating) this.#apply(this.#optimizer, scalars, slot, factor);
      else this.#apply(this.#optimizer, scalars, slot, this.#estimate(slot, factor));
    }
  }

  #apply(
    optimizer: OptimizerSpec,
    scalars: OptimizerScalars,
    { offset, paddedLength: length }: TensorSlot,
    factor: number,
  ): void {
    applyOptimizer(this.#kernels, optimizer, scalars, {
      weights: this.#arena.byteOffset('weights', offset),
      states: optimizerRegionsOf(optimizer).map((name) => this.#arena.byteOffset(name, offset)),
      total: this.#arena.byteOffset('sum', offset),
      length,
      factor,
    });
  }

  /**
   * Adds the sum of a tensor to its estimate, and puts the estimate in its place, on a grid of its
   * own; gives the factor of that.
   */
  #estimate({ offset, paddedLength: length }: TensorSlot, factor: number): number {
    const estimate = this.#arena.byteOffset(ESTIMATE, offset);
    const sum = this.#arena.byteOffset('sum', offset);
    const adding = { weights: estimate, states: [], total: sum, length, factor };
    applyOptimizer(this.#kernels, AVERAGING, ADDING_SCALARS, adding);
    const [exponent = 0] = gridExponents([this.#kernels.maxAbs(estimate, length)], 1);
    this.#kernels.zeroBytes(sum, 4 * length);
    this.#kernels.quantizeAdd(estimate, sum, length, 2 ** exponent);
    return 2 ** -exponent;
  }
}
