/**
 * What a shard changed, made smaller before it travels: per tensor whole numbers from -127 to 127
 * times a power of two, rounded at random so that the mean is that of the change, and before that,
 * with `topk`, only the largest elements. The random numbers follow from seed, round and shard, and
 * nothing is kept by whoever trained the shard, so what comes out does not depend on who that was:
 * what does not travel is made up for by what all remember (round-state.ts). Being such numbers,
 * the sums of changes pack well (collectives/packed-sum.ts).
 *
 * Source: stochastic rounding as in Alistarh et al. 2017 (QSGD), with one scale per tensor; the
 * largest elements as in Stich et al. 2018, "Sparsified SGD with Memory".
 */
import type { RandomWords } from '../base/random.ts';
import type { TensorSlot } from '../kernels/layout.ts';
import { floorLog2 } from '../plan/grid.ts';

type Place = Pick<TensorSlot, 'offset' | 'length'>;

const LARGEST = 127;
/** The bits of a float32 without its sign: those of larger numbers are larger. */
const MAGNITUDE = 0x7fffffff;
const HIGH_BITS = 16;

/**
 * Keeps of each of these tensors of `change` the part `part` that is largest, rounded up to whole
 * elements, and zeros the rest; of elements that are as large, the first ones are kept. What is not
 * finite is larger than what is, so that it is found where it is measured.
 * Effect: overwrites `change`.
 */
export function keepLargest(change: Float32Array, tensors: readonly Place[], part: number): void {
  for (const { offset, length } of tensors) {
    const elements = change.subarray(offset, offset + length);
    const bits = new Uint32Array(elements.buffer, elements.byteOffset, length);
    const { least, ofLeast } = leastKept(bits, Math.ceil(part * length));
    let left = ofLeast;
    for (const [i, word] of bits.entries()) {
      const magnitude = word & MAGNITUDE;
      if (magnitude < least || (magnitude === least && left-- <= 0)) elements[i] = 0;
    }
  }
}

/**
 * The smallest magnitude among the `count` largest, 1 or more, and how many of those have it: by
 * the upper half of the bits, then by the lower.
 */
function leastKept(
  bits: Uint32Array,
  count: number,
): { readonly least: number; readonly ofLeast: number } {
  const high = nthLargest(bits, count, (magnitude) => magnitude >>> HIGH_BITS);
  const low = nthLargest(bits, high.left, (magnitude) =>
    magnitude >>> HIGH_BITS === high.value ? magnitude & 0xffff : undefined,
  );
  return { least: high.value * 2 ** HIGH_BITS + low.value, ofLeast: low.left };
}

/** The `count`-th largest of the halves that `halfOf` takes, and how many of these count. */
function nthLargest(
  bits: Uint32Array,
  count: number,
  halfOf: (magnitude: number) => number | undefined,
): { readonly value: number; readonly left: number } {
  const tally = new Uint32Array(2 ** HIGH_BITS);
  for (const word of bits) {
    const half = halfOf(word & MAGNITUDE);
    if (half !== undefined) tally[half] = (tally[half] ?? 0) + 1;
  }
  let left = count;
  for (let value = tally.length - 1; ; value--) {
    const some = tally[value] ?? 0;
    if (some >= left || value === 0) return { value, left };
    left -= some;
  }
}

/**
 * Rounds the elements of these tensors of `change` to int8 times a power of two each. What is not
 * finite stays as it is: it is found where it is measured.
 * Effect: overwrites `change`.
 */
export function roundToInt8(
  change: Float32Array,
  tensors: readonly Place[],
  words: RandomWords,
): void {
  for (const { offset, length } of tensors) {
    const elements = change.subarray(offset, offset + length);
    const scale = int8Scale(elements);
    if (scale === undefined) continue;
    for (let i = 0; i < length; i++)
      elements[i] = Math.floor((elements[i] ?? 0) * scale + words.uniform(offset + i)) / scale;
  }
}

/** The largest power of two that keeps elements within 127; undefined when there is none. */
function int8Scale(elements: Float32Array): number | undefined {
  let largest = 0;
  for (const element of elements) {
    if (!Number.isFinite(element)) return undefined;
    largest = Math.max(largest, Math.abs(element));
  }
  if (largest === 0) return undefined;
  const scale = 2 ** (6 - floorLog2(largest));
  return largest * scale <= LARGEST ? scale : scale / 2;
}
