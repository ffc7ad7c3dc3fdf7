/**
 * The grid of the integer gradients. Each micro-batch's gradient is rounded
 * to a multiple of 2^-exponent per tensor, so that sums are sums of integers
 * and do not depend on their order. The exponents follow from committed
 * maxima alone: whoever computes, and however often, gets the same ones.
 */

/**
 * Largest |gradient element| expected of any micro-batch, per tensor: part of the committed state.
 */
export type GridMaxima = readonly number[];

/** A gradient may grow by this factor from one step to the next before its step must be redone. */
const HEADROOM_BITS = 3;
/** What is expected falls by this part per step: a power of two, so that it is exact. */
const FALL = 2 ** -5;
const SMALLEST_MAXIMUM = 2 ** -60;
/**
 * 2^-126 is the smallest float32 that kernels can multiply by without losing bits; no float32 needs
 * a coarser grid.
 */
const SMALLEST_EXPONENT = -126;
const LARGEST_EXPONENT = 90;

const floatBits = new DataView(new ArrayBuffer(8));

/** The integer e with 2^e <= x < 2^(e+1), exactly, for a positive normal double. */
export function floorLog2(x: number): number {
  floatBits.setFloat64(0, x);
  return ((floatBits.getUint32(0) >>> 20) & 0x7ff) - 1023;
}

/** The largest integer that each of `microBatchCount` micro-batches may add to an int32 sum. */
function elementLimit(microBatchCount: number): number {
  return Math.floor((2 ** 31 - 1) / Math.max(1, microBatchCount));
}

/** Exponent per tensor: as fine as fits `microBatchCount` summands with headroom. */
export function gridExponents(maxima: GridMaxima, microBatchCount: number): number[] {
  const limitBits = floorLog2(elementLimit(microBatchCount));
  return maxima.map((maximum) => {
    const exponent =
      limitBits - HEADROOM_BITS - (floorLog2(Math.max(maximum, SMALLEST_MAXIMUM)) + 1);
    return Math.min(LARGEST_EXPONENT, Math.max(SMALLEST_EXPONENT, exponent));
  });
}

/** Whether a micro-batch with these largest elements may have left its share of int32. */
export function overflowsGrid(
  observed: GridMaxima,
  exponents: readonly number[],
  microBatchCount: number,
): boolean {
  const limit = elementLimit(microBatchCount);
  return observed.some((maximum, tensor) => maximum * 2 ** (exponents[tensor] ?? 0) > limit);
}

/**
 * The maxima whose grid a step is computed on in which `observed` was seen: the expected ones (those
 * committed; of the first step, its first micro-batch's), or wider where those are too narrow.
 */
export function maximaOfStep(
  expected: GridMaxima,
  observed: GridMaxima,
  microBatchCount: number,
): GridMaxima {
  const exponents = gridExponents(expected, microBatchCount);
  return overflowsGrid(observed, exponents, microBatchCount)
    ? mergeMaxima(observed, expected)
    : expected;
}

/** Per-tensor maximum over micro-batches; the order does not matter. */
export function mergeMaxima(a: GridMaxima, b: GridMaxima): number[] {
  return a.map((value, tensor) => Math.max(value, b[tensor] ?? 0));
}

/**
 * The maxima to expect next: what was seen, but falling by a 32nd per step, by half in 22. Gradients
 * that become small by turns would outgrow a grid that follows them at once: with half per step, 30
 * of 532 steps of a small bert were computed again, with a 32nd 2; other models lose half a bit.
 */
export function nextMaxima(committed: GridMaxima, observed: GridMaxima): number[] {
  return committed.map((value, tensor) =>
    Math.max(observed[tensor] ?? 0, value * (1 - FALL), SMALLEST_MAXIMUM),
  );
}
