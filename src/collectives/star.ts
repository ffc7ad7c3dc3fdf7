/**
 * The root of a star: integer gradient sums come in from the workers, their total goes out to all
 * of them. Everything lives in one fixed WebAssembly memory, so that additions run at memory speed
 * and nothing is allocated per step.
 */
import { invariant } from '../base/errors.ts';
import { loadKernels, type Kernels } from '../kernels/kernels.ts';
import { reserveMemory } from '../kernels/reserve-memory.ts';

const PAGE_BYTES = 1 << 16;
/**
 * Totals that may be on their way to workers, or kept, at once; if they are large it is two thirds
 * of what there is room for, and two at least.
 */
const MAX_TOTAL_SLOTS = 12;
const MIN_TOTAL_SLOTS = 2;
const MAX_SCRATCH_SLOTS = 64;
/** Address space for all slots together; pages that are never touched cost nothing. */
const MEMORY_BUDGET_BYTES = 2 ** 32 - PAGE_BYTES;
/** Two totals, one slot to bounce contributions off, one for a contribution. */
const MIN_SLOTS = MIN_TOTAL_SLOTS + 2;

/** Elements of the longest sums that can be reduced. */
export const MAX_SUM_ELEMENTS: number = Math.floor(MEMORY_BUDGET_BYTES / MIN_SLOTS / 4);

/** The total of one step; its memory is reused once every receiver has released it. */
export interface Total {
  readonly bytes: Uint8Array;
  retain(): void;
  release(): void;
}

/**
 * Sums int32 buffers of one fixed length.
 *
 * Shapes: contributions and totals are [elementCount] int32, a multiple of 4 elements.
 */
export class StarReducer {
  readonly byteLength: number;
  readonly #memory: WebAssembly.Memory;
  readonly #kernels: Kernels;
  /** How many receivers still hold each total slot. */
  readonly #references: number[];
  readonly #freeScratch: number[] = [];
  readonly #bounceOffset: number;
  #current: number | undefined;
  #isEmpty = true;

  constructor(elementCount: number) {
    this.byteLength = elementCount * 4;
    const slots = Math.floor(MEMORY_BUDGET_BYTES / Math.max(this.byteLength, 16));
    invariant(
      slots >= MIN_SLOTS,
      `${elementCount} gradient elements are more than a star can reduce`,
    );
    const share = Math.max(MIN_TOTAL_SLOTS, Math.floor((2 * slots) / 3));
    const totalSlots = Math.min(MAX_TOTAL_SLOTS, slots - 2, share);
    const scratchSlots = Math.min(MAX_SCRATCH_SLOTS, slots - totalSlots - 1);
    this.#references = Array.from({ length: totalSlots }, () => 0);
    const byteLength = (totalSlots + 1 + scratchSlots) * this.byteLength;
    this.#memory = reserveMemory(byteLength, { shared: false, what: 'sums of gradients' });
    this.#kernels = loadKernels(this.#memory, false);
    this.#bounceOffset = totalSlots * this.byteLength;
    for (let slot = 0; slot < scratchSlots; slot++) {
      this.#freeScratch.push(this.#bounceOffset + (slot + 1) * this.byteLength);
    }
  }

  /**
   * Memory for one contribution to be received into, or undefined when all is taken (any memory
   * will do then).
   */
  takeScratch(): Uint8Array | undefined {
    const offset = this.#freeScratch.pop();
    return offset === undefined ? undefined : this.#bytesAt(offset);
  }

  returnScratch(scratch: Uint8Array): void {
    this.#freeScratch.push(scratch.byteOffset);
  }

  /** Starts a new total; false while all slots are still on their way to somebody. */
  begin(): boolean {
    if (this.#current !== undefined && this.#references[this.#current] === 0) {
      this.#isEmpty = true;
      return true;
    }
    const free = this.#references.indexOf(0);
    this.#current = free === -1 ? undefined : free;
    this.#isEmpty = true;
    return free !== -1;
  }

  /** Adds one contribution; integer sums are the same in any order. */
  add(contribution: Uint8Array): void {
    invariant(
      contribution.length === this.byteLength,
      'a contribution has the length of the total',
    );
    invariant(this.#current !== undefined, 'a total was begun');
    const target = this.#current * this.byteLength;
    if (this.#isEmpty) {
      this.#bytesAt(target).set(contribution);
      this.#isEmpty = false;
      return;
    }
    this.#kernels.addInt32(target, this.#inMemory(contribution), this.byteLength / 4);
  }

  /**
   * The checksum of a contribution, 0 to 2^32 - 1: equal to
   * the sum of its micro-batches' checksums modulo 2^32.
   */
  checksumOf(contribution: Uint8Array): number {
    invariant(
      contribution.length === this.byteLength,
      'a contribution has the length of the total',
    );
    return this.#kernels.checksum(this.#inMemory(contribution), this.byteLength / 4, 0) >>> 0;
  }

  /** Where the contribution lies, or a copy of it. */
  #inMemory(contribution: Uint8Array): number {
    if (contribution.buffer === this.#memory.buffer) return contribution.byteOffset;
    this.#bytesAt(this.#bounceOffset).set(contribution);
    return this.#bounceOffset;
  }

  /** The finished total, retained once for the caller. */
  finish(): Total {
    const slot = this.#current;
    invariant(slot !== undefined && !this.#isEmpty, 'the total has contributions');
    const references = this.#references;
    references[slot] = 1;
    this.#current = undefined;
    return {
      bytes: this.#bytesAt(slot * this.byteLength),
      retain: () => void (references[slot] = (references[slot] ?? 0) + 1),
      release: () => void (references[slot] = (references[slot] ?? 0) - 1),
    };
  }

  #bytesAt(offset: number): Uint8Array {
    return new Uint8Array(this.#memory.buffer, offset, this.byteLength);
  }
}
