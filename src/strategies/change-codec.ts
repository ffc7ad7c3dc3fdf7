/**
 * What a shard changed, made smaller before it travels: per tensor whole numbers from -127 to 127
 * times a power of two, rounded at random so that the mean is that of the change. The random
 * numbers follow from seed, round and shard, and nothing is kept for the next round, so what comes
 * out does not depend on who trained the shard. Being such numbers, the sums of changes pack well
 * (collectives/packed-sum.ts).
 *
 * Source: stochastic rounding as in Alistarh et al. 2017 (QSGD), with one scale per tensor.
 */
import type { RandomWords } from '../base/random.ts';
import type { TensorSlot } from '../kernels/layout.ts';
import { floorLog2 } from '../plan/grid.ts';

const LARGEST = 127;

/**
 * Rounds the elements of these tensors of `change` to int8 times a power of two each. What is not
 * finite stays as it is: it is found where it is measured.
 * Effect: overwrites `change`.
 */
export function roundToInt8(
  change: Float32Array,
  tensors: readonly Pick<TensorSlot, 'offset' | 'length'>[],
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
