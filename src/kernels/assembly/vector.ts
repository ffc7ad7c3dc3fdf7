/**
 * What every kernel shares: the length check, absolute values and the flush of subnormals.
 *
 * The kernels' loops test at the bottom (`do ... while`). V8 moves splats and other invariants out
 * of a loop only from blocks that every way out passes through; with the test on top it computed
 * them for every vector, and Adam took 1.6 ns per element in place of 1.1.
 */

/** 2^-126 */
const SMALLEST_NORMAL: f32 = reinterpret<f32>(0x00800000);

/** True when there is nothing to do; traps unless `length` is a multiple of 4, one vector. */
export function isEmpty(length: i32): bool {
  if (length & 3) unreachable();
  return length == 0;
}

/**
 * The larger of two vectors of |x|, given as bits. Without the sign, float32 bits compare as
 * integers, Inf above every number and NaN above Inf: one instruction, where `f32x4.max` needs six
 * on x86.
 */
export function maxMagnitude(largest: v128, x: v128): v128 {
  return i32x4.max_s(largest, v128.and(x, i32x4.splat(0x7fffffff)));
}

/** The largest of the four lanes that `maxMagnitude` left, as the float32 it is. */
export function largestLane(magnitudes: v128): f32 {
  const pairs = i32x4.max_s(magnitudes, v128.shuffle<i32>(magnitudes, magnitudes, 2, 3, 0, 1));
  const all = i32x4.max_s(pairs, v128.shuffle<i32>(pairs, pairs, 1, 0, 3, 2));
  return reinterpret<f32>(i32x4.extract_lane(all, 0));
}

/** x, but +0 where |x| < 2^-126. NaN compares false and stays. */
export function flushSubnormals(x: v128): v128 {
  return v128.andnot(x, f32x4.lt(f32x4.abs(x), f32x4.splat(SMALLEST_NORMAL)));
}

/** The same for x that is never below zero: two instructions fewer. */
export function flushSubnormalsOfPositive(x: v128): v128 {
  return v128.andnot(x, f32x4.lt(x, f32x4.splat(SMALLEST_NORMAL)));
}
