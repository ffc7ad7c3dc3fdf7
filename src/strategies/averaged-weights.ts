/**
 * The weights of a run that is done in rounds, as one worker has them: where shards start from and
 * what becomes of them.
 */
import { Arena } from '../kernels/arena.ts';
import { type Kernels, loadKernels } from '../kernels/kernels.ts';
import { type ArenaLayout, makeArenaLayout, packRegion, unpackRegion } from '../kernels/layout.ts';
import { applyOptimizer } from '../optim/apply.ts';
import { parseOptimizerScalars } from '../optim/scalars.ts';
import type { Commit, Job, MicroBatchRecord } from '../protocol/messages.ts';
import { AVERAGING } from './averaging.ts';

/** What training on a shard changed: start minus end, times samples, in the layout of an arena. */
export type Change = Float32Array;

/** What a record says of a change that is rounded to the grid. */
export type ChangeNumbers = Required<
  Pick<MicroBatchRecord, 'maxima' | 'checksum' | 'weightsChecksum'>
>;

/** Holds the weights of the last round, and adds up what shards change of them. */
export class AveragedWeights {
  readonly #layout: ArenaLayout;
  /** `weights`, one `change`, and the int32 `sum` of rounded changes. */
  readonly #arena: Arena;
  readonly #kernels: Kernels;

  constructor(parameters: Job['parameters']) {
    this.#layout = makeArenaLayout(parameters);
    const byteLength = 4 * this.#layout.paddedLength;
    this.#arena = new Arena(['weights', 'change', 'sum'].map((name) => ({ name, byteLength })));
    this.#kernels = loadKernels(this.#arena.memory, false);
  }

  /** Elements of the weights, without padding. */
  get length(): number {
    return this.#layout.length;
  }

  /** A copy of the weights, unpadded. */
  packed(): Float32Array<ArrayBuffer> {
    const packed = new Float32Array(this.#layout.length);
    packRegion(this.#arena.float32('weights'), this.#layout, packed);
    return packed;
  }

  /** Takes over unpadded weights. */
  set(packed: Float32Array): void {
    unpackRegion(packed, this.#layout, this.#arena.float32('weights'));
  }

  /**
   * What training on `sampleCount` samples changed, if it ended with `end` (unpadded); each element
   * is rounded once.
   */
  changeTo(end: Float32Array, sampleCount: number): Change {
    const start = this.#arena.float32('weights');
    const change = new Float32Array(this.#layout.paddedLength);
    let position = 0;
    for (const { offset, length } of this.#layout.tensors) {
      for (let i = 0; i < length; i++)
        change[offset + i] = ((start[offset + i] ?? 0) - (end[position + i] ?? 0)) * sampleCount;
      position += length;
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

  /** Moves the weights to the average, from the sum of all workers' changes. */
  average({ exponents, update }: Pick<Commit, 'exponents' | 'update'>): void {
    const scalars = parseOptimizerScalars(update.scalars);
    for (const [tensor, { offset, paddedLength }] of this.#layout.tensors.entries())
      applyOptimizer(this.#kernels, AVERAGING, scalars, {
        weights: this.#arena.byteOffset('weights', offset),
        states: [],
        total: this.#arena.byteOffset('sum', offset),
        length: paddedLength,
        factor: 2 ** -(exponents[tensor] ?? 0) / update.sampleCount,
      });
  }
}
