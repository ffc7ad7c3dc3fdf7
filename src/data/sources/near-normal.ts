/**
 * Numbers that are nearly normal, with the same bits on every machine: sums of four uniform draws
 * (Irwin-Hall), moved and scaled to mean 0 and variance 1. The formulas for exact normals need
 * functions that differ between platforms.
 */
import { RandomWords } from '../../base/random.ts';
import type { Normalisation } from '../dataset.ts';
import { sharedBytes } from '../shared-memory.ts';

/** Variance of one uniform number is 1/12, of four 1/3. */
const SCALE = Math.sqrt(3);

/** `count` float32 numbers of mean 0 and variance 1, a function of seed and `draw`. */
export function nearNormals(
  seed: number,
  draw: number,
  count: number,
): Float32Array<SharedArrayBuffer> {
  const words = new RandomWords(seed, 'synthetic', draw);
  const out = new Float32Array(new SharedArrayBuffer(4 * count));
  for (let i = 0; i < count; i++) {
    const at = 4 * i;
    const sum =
      words.uniform(at) + words.uniform(at + 1) + words.uniform(at + 2) + words.uniform(at + 3);
    out[i] = (sum - 2) * SCALE;
  }
  return out;
}

/** Mean of a byte of `nearNormalBytes`: of four uniform integers 0 to 63. */
const BYTE_MEAN = 126;
/** Standard deviation of it: the variance of one is (64^2 - 1) / 12. */
const BYTE_STD = Math.sqrt((4 * (64 * 64 - 1)) / 12);

/** What brings the bytes of `nearNormalBytes` to mean 0 and variance 1. */
export const BYTE_NORMALISATION: Normalisation = {
  scale: [Math.fround(1 / BYTE_STD)],
  shift: [Math.fround(-BYTE_MEAN / BYTE_STD)],
};

/** The number that a byte of `nearNormalBytes` stands for. */
export function numberOfByte(byte: number): number {
  return (byte - BYTE_MEAN) / BYTE_STD;
}

/** Draws nearly normal numbers in 253 levels: a quarter of the memory, and of the time to draw. */
export function nearNormalBytes(
  seed: number,
  draw: number,
  count: number,
  what: string,
): Uint8Array<SharedArrayBuffer> {
  const words = new RandomWords(seed, 'synthetic', draw);
  const out = sharedBytes(count, what);
  for (let i = 0; i < count; i++) {
    const word = words.word(i);
    out[i] =
      ((word >>> 26) & 63) + ((word >>> 20) & 63) + ((word >>> 14) & 63) + ((word >>> 8) & 63);
  }
  return out;
}
