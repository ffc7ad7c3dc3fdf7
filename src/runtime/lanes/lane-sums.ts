/**
 * The gradient sums of a lane: int32 numbers on the grid of a plan, to which gradients are rounded
 * one micro-batch at a time, so that it does not matter in which order they are added.
 */
import type { BlockRange } from '../../kernels/layout.ts';
import type { Plan } from '../../protocol/messages.ts';
import { type LaneStart, sumRegion } from './lane-job.ts';
import type { LaneMemory } from './lane-update.ts';

/** Where a total is: that of this worker's lanes, one from the main thread, or this one. */
export type TotalSource = 'own' | 'received' | Int32Array;

/** The sum of one lane, and its part in the sum of all lanes of the worker. */
export class LaneSums {
  readonly #start: LaneStart;
  readonly #memory: LaneMemory;
  /** The part of the region that this lane adds up for all. */
  readonly #slice: BlockRange;
  /** Where this worker's own total lies after a pass. */
  #ownTotal: 'arena' | 'gathered' = 'arena';
  #hasSum = false;
  /** The checksum of the weights, once per pass. */
  #weightsChecked = { pass: -1, sum: 0 };

  constructor(start: LaneStart, memory: LaneMemory, slice: BlockRange) {
    this.#start = start;
    this.#memory = memory;
    this.#slice = slice;
  }

  /** Begins a sum: what the region holds is of no use any more. */
  reset(): void {
    this.#hasSum = false;
  }

  /**
   * Rounds the gradient in the arena to the grid and adds it to this lane's sum.
   * Gives the largest magnitude of each tensor, null where it is not finite.
   */
  add(exponents: readonly number[]): (number | null)[] {
    const { layout, arena, kernels } = this.#memory;
    if (!this.#hasSum) this.#zero();
    this.#hasSum = true;
    return layout.tensors.map(({ offset, paddedLength }, tensor) => {
      const gradient = arena.byteOffset('gradient', offset);
      const sum = arena.byteOffset('sum', offset);
      return finiteOrNull(
        kernels.quantizeAdd(gradient, sum, paddedLength, 2 ** (exponents[tensor] ?? 0)),
      );
    });
  }

  /** The largest magnitude of each tensor of the gradient in the arena, null where not finite. */
  maxima(): (number | null)[] {
    const { layout, arena, kernels } = this.#memory;
    return layout.tensors.map(({ offset, paddedLength }) =>
      finiteOrNull(kernels.maxAbs(arena.byteOffset('gradient', offset), paddedLength)),
    );
  }

  /** Checksums (0 to 2^32 - 1) of the weights, and of the gradient on the grid of the plan. */
  checksums({ pass, exponents }: Plan): { checksum: number; weightsChecksum: number } {
    const { layout, arena, kernels } = this.#memory;
    const checksum = layout.tensors.reduce((sum, { offset, paddedLength }, tensor) => {
      const gradient = arena.byteOffset('gradient', offset);
      const scale = 2 ** (exponents[tensor] ?? 0);
      return (sum + kernels.gradientChecksum(gradient, paddedLength, scale, offset)) >>> 0;
    }, 0);
    if (this.#weightsChecked.pass !== pass) {
      const sum = kernels.checksum(arena.byteOffset('weights'), layout.paddedLength, 0) >>> 0;
      this.#weightsChecked = { pass, sum };
    }
    return { checksum, weightsChecksum: this.#weightsChecked.sum };
  }

  /**
   * Adds the lanes' sums in shared memory, each lane its slice. One lane keeps its sum where it is,
   * unless the main thread is to have it. Every lane must call it.
   */
  gather({ reduction }: Plan): void {
    const { lane, laneCount } = this.#start;
    const { arena, shared, control } = this.#memory;
    const isKept = laneCount === 1 && reduction !== 'star';
    this.#ownTotal = isKept ? 'arena' : 'gathered';
    if (!this.#hasSum) this.#zero();
    if (isKept) return;
    const target = laneCount === 1 ? 'gathered' : sumRegion(lane);
    shared.int32(target).set(arena.int32('sum'));
    control.barrier();
    if (laneCount > 1) this.#addSlices();
    control.barrier();
  }

  #zero(): void {
    const { arena, kernels } = this.#memory;
    kernels.zeroBytes(arena.byteOffset('sum'), arena.byteLength('sum'));
  }

  #addSlices(): void {
    const { shared, sharedKernels } = this.#memory;
    const { offset, length } = this.#slice;
    const target = shared.byteOffset('gathered', offset);
    sharedKernels.copyBytes(target, shared.byteOffset(sumRegion(0), offset), 4 * length);
    for (let other = 1; other < this.#start.laneCount; other++)
      sharedKernels.addInt32(target, shared.byteOffset(sumRegion(other), offset), length);
  }

  /** [padded length] int32 as bytes: what the lanes of this worker have come to. */
  get ownTotal(): Uint8Array {
    const { arena, shared } = this.#memory;
    return this.#ownTotal === 'arena' ? arena.uint8('sum') : shared.uint8('gathered');
  }

  /** Brings this lane's slice of the gradient total into the arena's region `sum`. */
  fetchTotal(source: TotalSource): void {
    if (source === 'own' && this.#ownTotal === 'arena') return;
    const { arena, shared } = this.#memory;
    const { offset, length } = this.#slice;
    const total =
      source instanceof Int32Array
        ? source.subarray(offset, offset + length)
        : shared.int32(source === 'own' ? 'gathered' : 'received', this.#slice);
    arena.int32('sum', this.#slice).set(total);
  }
}

/** A number as JSON can hold it. */
export function finiteOrNull(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}
