/**
 * What the ranks of one machine have in common: counters, the parts of their sums that others add,
 * and the total.
 *
 * A sum is worked through in pieces, and a piece has a slice for every rank to add. The memory
 * begins with what the file is known by; then come a line of counters per rank, two places for
 * parts, which pieces take turns at, and the total.
 */
import { invariant } from '../../base/errors.ts';
import { type Kernels, loadKernels } from '../../kernels/kernels.ts';
import type { GroupPlace } from '../collective.ts';

const PAGE_BYTES = 64 << 10;
/** What 128-bit vectors hold. */
const UNIT_BYTES = 16;
/** Where counters begin; before them is what the file is known by. */
const COUNTERS = 4096;
/** A line of the processor's cache, so that ranks do not take each other's away. */
const LINE_BYTES = 64;
/** A slice of this size is still in the cache when it is added. */
const SLICE_BYTES = 256 << 10;
/** Most of one of the two places for parts. */
const PARTS_BYTES = 32 << 20;

/** Where what lies. */
interface Layout {
  readonly pieceBytes: number;
  /** Of one of the two places. */
  readonly partsBytes: number;
  readonly parts: number;
  readonly total: number;
  readonly byteLength: number;
}

function layoutOf({ size, byteLength }: GroupPlace): Layout {
  const sliceBytes = roundDown(Math.min(SLICE_BYTES, PARTS_BYTES / (size * (size - 1))));
  const pieceBytes = Math.min(byteLength, size * sliceBytes);
  const partsBytes = (size - 1) * pieceBytes;
  const parts = COUNTERS + size * LINE_BYTES;
  const total = parts + 2 * partsBytes;
  return { pieceBytes, partsBytes, parts, total, byteLength: total + byteLength };
}

/** Bytes of the memory that such a group has in common, in whole pages of WebAssembly. */
export function sharedBytesOf(place: GroupPlace): number {
  return Math.ceil(layoutOf(place).byteLength / PAGE_BYTES) * PAGE_BYTES;
}

/** A sum in parts, one behind the other. */
export type SumParts = readonly Uint8Array[];

/**
 * A rank's hands on the memory that all have in common. It remembers nothing: another thread may go
 * on with the next sum.
 */
export class SharedSum {
  readonly #place: GroupPlace;
  readonly #layout: Layout;
  readonly #memory: WebAssembly.Memory;
  readonly #kernels: Kernels;
  readonly #counters: Int32Array;

  /** `memory`, shared between threads, is that of all ranks, of zeros at first. */
  constructor(place: GroupPlace, memory: WebAssembly.Memory) {
    invariant(place.byteLength > 0 && place.byteLength % UNIT_BYTES === 0, 'a sum has whole units');
    this.#place = place;
    this.#layout = layoutOf(place);
    this.#memory = memory;
    this.#kernels = loadKernels(memory, true);
    const words = (place.size * LINE_BYTES) / Int32Array.BYTES_PER_ELEMENT;
    this.#counters = new Int32Array(memory.buffer, COUNTERS, words);
  }

  get pieceCount(): number {
    return Math.ceil(this.#place.byteLength / this.#layout.pieceBytes);
  }

  /** [byteLength] int32, whole once all have arrived behind the last piece. */
  get total(): Uint8Array {
    return this.#bytes(this.#layout.total, this.#place.byteLength);
  }

  /**
   * Puts down what others add of a piece of `own`. Its place is that of the piece before the last
   * one, at which all have been since.
   */
  put(piece: number, own: SumParts): void {
    const { index, size } = this.#place;
    for (let slice = 0; slice < size; slice++) {
      if (slice === index) continue;
      const [start, end] = this.#sliceOf(piece, slice);
      this.#copy(own, start, end, this.#partOf(piece, slice, index));
    }
  }

  /** Adds up this rank's slice of a piece that all have put down. */
  add(piece: number, own: SumParts): void {
    const { index, size } = this.#place;
    const [start, end] = this.#sliceOf(piece, index);
    const target = this.#layout.total + start;
    this.#copy(own, start, end, target);
    for (let rank = 0; rank < size; rank++) {
      if (rank === index) continue;
      this.#kernels.addInt32(target, this.#partOf(piece, index, rank), (end - start) / 4);
    }
  }

  /** Tells the others that this rank is at the next barrier, of the sum with this number. */
  arrive(sequence: number): void {
    Atomics.store(this.#counters, this.#word(this.#place.index, 'sequence'), sequence | 0);
    Atomics.add(this.#counters, this.#word(this.#place.index, 'arrivals'), 1);
  }

  /** Whether all others are at this rank's barrier, or have left it already. */
  haveAllArrived(): boolean {
    const own = Atomics.load(this.#counters, this.#word(this.#place.index, 'arrivals'));
    for (let rank = 0; rank < this.#place.size; rank++) {
      const arrivals = Atomics.load(this.#counters, this.#word(rank, 'arrivals'));
      if (((arrivals - own) | 0) < 0) return false;
    }
    return true;
  }

  /** A rank that is at this barrier for another sum, if there is one. */
  rankOfOtherSum(sequence: number): number | undefined {
    for (let rank = 0; rank < this.#place.size; rank++)
      if (Atomics.load(this.#counters, this.#word(rank, 'sequence')) !== (sequence | 0))
        return rank;
    return undefined;
  }

  /** This rank asks to be woken. It looks once more whether all have arrived before it sleeps. */
  askToBeWoken(): void {
    Atomics.store(this.#counters, this.#word(this.#place.index, 'asleep'), 1);
  }

  /** How far around the ring the last rank is that is to be woken, by this rank alone; 0: none. */
  takeSleepers(): number {
    const { index, size } = this.#place;
    let farthest = 0;
    for (let hops = 1; hops < size; hops++) {
      const word = this.#word((index + hops) % size, 'asleep');
      if (Atomics.exchange(this.#counters, word, 0) === 1) farthest = hops;
    }
    return farthest;
  }

  /** The bytes of a sum that a slice of a piece has: from, and to. */
  #sliceOf(piece: number, slice: number): readonly [number, number] {
    const { byteLength, size } = this.#place;
    const start = piece * this.#layout.pieceBytes;
    const length = Math.min(this.#layout.pieceBytes, byteLength - start);
    return [
      start + roundDown((length * slice) / size),
      start + roundDown((length * (slice + 1)) / size),
    ];
  }

  /** Where a rank puts its part of somebody else's slice. */
  #partOf(piece: number, slice: number, rank: number): number {
    const { size } = this.#place;
    const { parts, partsBytes, pieceBytes } = this.#layout;
    const [start, end] = this.#sliceOf(piece, slice);
    const before = (start - piece * pieceBytes) * (size - 1);
    const order = ((rank - slice + size) % size) - 1;
    return parts + (piece % 2) * partsBytes + before + order * (end - start);
  }

  /** Copies the bytes from `start` to `end` of a sum to `target`. */
  #copy(parts: SumParts, start: number, end: number, target: number): void {
    let offset = 0;
    for (const part of parts) {
      const from = Math.max(start, offset);
      const bytes = part.subarray(from - offset, Math.max(0, end - offset));
      if (bytes.length > 0) this.#bytes(target + from - start, bytes.length).set(bytes);
      offset += part.length;
    }
  }

  #word(rank: number, counter: keyof typeof WORDS): number {
    return (rank * LINE_BYTES) / Int32Array.BYTES_PER_ELEMENT + WORDS[counter];
  }

  #bytes(offset: number, byteLength: number): Uint8Array {
    return new Uint8Array(this.#memory.buffer, offset, byteLength);
  }
}

/** What a line of counters holds. */
const WORDS = { arrivals: 0, sequence: 1, asleep: 2 } as const;

function roundDown(bytes: number): number {
  return Math.floor(bytes / UNIT_BYTES) * UNIT_BYTES;
}
