/**
 * The state of a run that is done in rounds, as one worker has it: the weights that shards start
 * from, what the update of rounds keeps beside them, and what becomes of both.
 */
import type { RandomWords } from '../base/random.ts';
import { Arena } from '../kernels/arena.ts';
import { type Kernels, loadKernels } from '../kernels/kernels.ts';
import { type ArenaLayout, makeArenaLayout, packRegion, unpackRegion } from '../kernels/layout.ts';
import { applyOptimizer } from '../optim/apply.ts';
import { optimizerScalars, parseOptimizerScalars } from '../optim/scalars.ts';
import type { OptimizerSpec } from '../optim/spec.ts';
import type { Commit, Job, MicroBatchRecord } from '../protocol/messages.ts';
import { optimizerRegionsOf, stateRegionsOf } from '../state/state-layout.ts';
import { AVERAGING, AVERAGING_SCHEDULE } from './averaging.ts';
import { roundToInt8 } from './change-codec.ts';

/** What training on a shard changed: start minus end, times samples, in the layout of an arena. */
export type Change = Float32Array;

/** What a record says of a change that is rounded to the grid. */
export type ChangeNumbers = Required<
  Pick<MicroBatchRecord, 'maxima' | 'checksum' | 'weightsChecksum'>
>;

/** Running statistics are averaged whatever the update of the weights is: they are no gradient. */
const AVERAGING_SCALARS = optimizerScalars(AVERAGING, 1, AVERAGING_SCHEDULE.learningRate);

/** Holds the state after the last round, and adds up what shards change of its weights. */
export class RoundState {
  readonly #parameters: Job['parameters'];
  /** What a round ends with (outer-update.ts). */
  readonly #optimizer: OptimizerSpec;
  readonly #layout: ArenaLayout;
  /** The regions of the state, one `change`, and the int32 `sum` of rounded changes. */
  readonly #arena: Arena;
  readonly #kernels: Kernels;

  constructor(parameters: Job['parameters'], optimizer: OptimizerSpec) {
    this.#parameters = parameters;
    this.#optimizer = optimizer;
    this.#layout = makeArenaLayout(parameters);
    const byteLength = 4 * this.#layout.paddedLength;
    const names = [...stateRegionsOf(optimizer), 'change', 'sum'];
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

  /** A copy of the state, unpadded: weights, then the regions of the optimizer. */
  packed(): Float32Array<ArrayBuffer> {
    const { length } = this.#layout;
    const names = stateRegionsOf(this.#optimizer);
    const packed = new Float32Array(names.length * length);
    for (const [i, name] of names.entries())
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
    for (const [i, name] of stateRegionsOf(this.#optimizer).entries())
      unpackRegion(
        packed.subarray(i * length, (i + 1) * length),
        this.#layout,
        this.#arena.float32(name),
      );
  }

  /**
   * What training on `sampleCount` samples changed, if it ended with `end` (unpadded); each element
   * is rounded once. With `words` the change is then made smaller (change-codec.ts), but for
   * running statistics, which may not come below what was observed.
   */
  changeTo(end: Float32Array, sampleCount: number, words?: RandomWords): Change {
    const start = this.#arena.float32('weights');
    const change = new Float32Array(this.#layout.paddedLength);
    let position = 0;
    for (const { offset, length } of this.#layout.tensors) {
      for (let i = 0; i < length; i++)
        change[offset + i] = ((start[offset + i] ?? 0) - (end[position + i] ?? 0)) * sampleCount;
      position += length;
    }
    if (words !== undefined) {
      const isTrained = (_: unknown, tensor: number): boolean =>
        this.#parameters[tensor]?.statisticMomentum === null;
      roundToInt8(change, this.#layout.tensors.filter(isTrained), words);
    }
    return change;
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
    for (const [tensor, { offset, paddedLength }] of this.#layout.tensors.entries()) {
      const isStatistic = this.#parameters[tensor]?.statisticMomentum !== null;
      const optimizer = isStatistic ? AVERAGING : this.#optimizer;
      applyOptimizer(this.#kernels, optimizer, isStatistic ? AVERAGING_SCALARS : scalars, {
        weights: this.#arena.byteOffset('weights', offset),
        states: optimizerRegionsOf(optimizer).map((name) => this.#arena.byteOffset(name, offset)),
        total: this.#arena.byteOffset('sum', offset),
        length: paddedLength,
        factor: 2 ** -(exponents[tensor] ?? 0) / update.sampleCount,
      });
    }
  }
}
