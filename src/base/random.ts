/**
 * Counter-based randomness: every random number is a function of (seed, purpose, counters), never
 * of what was drawn before. Nobody has a stream to save, and it does not matter who computes.
 *
 * Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3" (Philox4x32-10);
 * checked against the known answers of its Random123 library.
 */

/**
 * What a random number is for; numbers of different purposes are independent. The values are part
 * of the digest contract.
 */
export const PURPOSES = {
  init: 1,
  shuffle: 2,
  split: 3,
  synthetic: 4,
  dropout: 5,
  probe: 6,
  augment: 7,
  sample: 8,
  audit: 9,
  fault: 10,
  compress: 11,
} as const;
/** The name of a purpose. */
export type Purpose = keyof typeof PURPOSES;

const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;

/** The high 32 bits of a 32x32-bit product, signed; by integer operations, for speed. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = (Math.imul(aHigh, bLow) + (Math.imul(aLow, bLow) >>> 16)) | 0;
  const carry = (Math.imul(aLow, bHigh) + (middle & 0xffff)) | 0;
  return (Math.imul(aHigh, bHigh) + (middle >>> 16) + (carry >>> 16)) | 0;
}

/** Four random words from a counter of four words and a key of two, written to `out`. */
export function philox4x32(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
  out: Uint32Array,
): void {
  let c0 = counter[0];
  let c1 = counter[1];
  let c2 = counter[2];
  let c3 = counter[3];
  let k0 = key[0];
  let k1 = key[1];
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(MULTIPLIER_0, c0);
    const high1 = multiplyHigh(MULTIPLIER_1, c2);
    const low0 = Math.imul(MULTIPLIER_0, c0);
    const low1 = Math.imul(MULTIPLIER_1, c2);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + WEYL_0) | 0;
    k1 = (k1 + WEYL_1) | 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/** Random words of one (seed, purpose, a, b): word `i` is the same in whatever order of reading. */
export class RandomWords {
  readonly #key: readonly [number, number];
  readonly #a: number;
  readonly #b: number;
  readonly #block = new Uint32Array(4);
  #blockIndex = -1;

  constructor(seed: number, purpose: Purpose, a = 0, b = 0) {
    this.#key = [seed >>> 0, PURPOSES[purpose]];
    this.#a = a >>> 0;
    this.#b = b >>> 0;
  }

  /** Word `index` (0 <= index < 2^34) as an integer 0 .. 2^32 - 1. */
  word(index: number): number {
    const blockIndex = Math.floor(index / 4);
    if (blockIndex !== this.#blockIndex) {
      philox4x32([blockIndex >>> 0, this.#a, this.#b, 0], this.#key, this.#block);
      this.#blockIndex = blockIndex;
    }
    return this.#block[index & 3] as number;
  }

  /** A float in [0, 1) with 24 random bits: exactly representable in float32. */
  uniform(index: number): number {
    return (this.word(index) >>> 8) / 0x1000000;
  }

  /** An integer 0 .. bound - 1 (bias below bound / 2^32). */
  below(index: number, bound: number): number {
    return multiplyHigh(this.word(index), bound) >>> 0;
  }
}

/** A permutation of 0 .. length - 1 (Fisher-Yates), always the same for the same arguments. */
export function permutation(length: number, words: RandomWords): Uint32Array {
  const order = new Uint32Array(length);
  for (let i = 0; i < length; i++) order[i] = i;
  for (let i = length - 1; i > 0; i--) {
    const j = words.below(i, i + 1);
    const swapped = order[i] as number;
    order[i] = order[j] as number;
    order[j] = swapped;
  }
  return order;
}
