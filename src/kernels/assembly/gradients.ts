/** Gradients on their way to the optimizer: rounded to int32, added, measured. */
import { isEmpty, largestLane, maxMagnitude } from './vector';

/** accumulator[i] += int32(nearest(gradient[i] * scale)); returns max |gradient[i]|. */
export function quantizeAdd(gradient: usize, accumulator: usize, length: i32, scale: f32): f32 {
  if (isEmpty(length)) return 0;
  const scales = f32x4.splat(scale);
  let largest = i32x4.splat(0);
  const end = gradient + ((<usize>length) << 2);
  do {
    const g = v128.load(gradient);
    largest = maxMagnitude(largest, g);
    const rounded = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(g, scales)));
    v128.store(accumulator, i32x4.add(v128.load(accumulator), rounded));
    gradient += 16;
    accumulator += 16;
  } while (gradient < end);
  return largestLane(largest);
}

/** target[i] += source[i], modulo 2^32. */
export function addInt32(target: usize, source: usize, length: i32): void {
  if (isEmpty(length)) return;
  const end = target + ((<usize>length) << 2);
  do {
    v128.store(target, i32x4.add(v128.load(target), v128.load(source)));
    target += 16;
    source += 16;
  } while (target < end);
}

/** target[i] = float32(source[i]) * factor. */
export function dequantize(source: usize, target: usize, length: i32, factor: f32): void {
  if (isEmpty(length)) return;
  const factors = f32x4.splat(factor);
  const end = source + ((<usize>length) << 2);
  do {
    v128.store(target, f32x4.mul(f32x4.convert_i32x4_s(v128.load(source)), factors));
    source += 16;
    target += 16;
  } while (source < end);
}

/**
 * Sum of float64(total[i])^2. Lane j adds the elements i = j (mod 4) in rising order; then (0 + 1)
 * + (2 + 3).
 */
export function sumOfSquares(total: usize, length: i32): f64 {
  if (isEmpty(length)) return 0;
  let low = f64x2.splat(0);
  let high = f64x2.splat(0);
  const end = total + ((<usize>length) << 2);
  do {
    const x = v128.load(total);
    const x01 = f64x2.convert_low_i32x4_s(x);
    const x23 = f64x2.convert_low_i32x4_s(v128.shuffle<i32>(x, x, 2, 3, 2, 3));
    low = f64x2.add(low, f64x2.mul(x01, x01));
    high = f64x2.add(high, f64x2.mul(x23, x23));
    total += 16;
  } while (total < end);
  const sum01 = f64x2.extract_lane(low, 0) + f64x2.extract_lane(low, 1);
  const sum23 = f64x2.extract_lane(high, 0) + f64x2.extract_lane(high, 1);
  return sum01 + sum23;
}
