/** Checksums of gradients, which add up modulo 2^32 as the gradients do. */
import { isEmpty } from './vector';

/** 2^32 divided by the golden ratio, odd. */
const STEP: i32 = <i32>0x9e3779b1;

/** The multipliers of elements `position` to `position + 3`: (index * STEP) | 1. */
function multipliers(index: v128): v128 {
  return v128.or(i32x4.mul(index, i32x4.splat(STEP)), i32x4.splat(1));
}

/** The four lanes added, modulo 2^32. */
function total(lanes: v128): i32 {
  const pairs = i32x4.add(lanes, v128.shuffle<i32>(lanes, lanes, 2, 3, 0, 1));
  return i32x4.extract_lane(pairs, 0) + i32x4.extract_lane(pairs, 1);
}

/** Sum of multiplier(position + i) * values[i], modulo 2^32. */
export function checksum(values: usize, length: i32, position: i32): i32 {
  if (isEmpty(length)) return 0;
  let index = i32x4.add(i32x4.splat(position), i32x4(0, 1, 2, 3));
  let sum = i32x4.splat(0);
  const end = values + ((<usize>length) << 2);
  do {
    sum = i32x4.add(sum, i32x4.mul(v128.load(values), multipliers(index)));
    index = i32x4.add(index, i32x4.splat(4));
    values += 16;
  } while (values < end);
  return total(sum);
}

/** The same of int32(nearest(gradient[i] * scale)), what `quantizeAdd` adds. */
export function gradientChecksum(gradient: usize, length: i32, scale: f32, position: i32): i32 {
  if (isEmpty(length)) return 0;
  const scales = f32x4.splat(scale);
  let index = i32x4.add(i32x4.splat(position), i32x4(0, 1, 2, 3));
  let sum = i32x4.splat(0);
  const end = gradient + ((<usize>length) << 2);
  do {
    const rounded = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(gradient), scales)));
    sum = i32x4.add(sum, i32x4.mul(rounded, multipliers(index)));
    index = i32x4.add(index, i32x4.splat(4));
    gradient += 16;
  } while (gradient < end);
  return total(sum);
}
