/**
 * Plain float32 vectors: input batches, largest magnitude, scaling; and bulk moves that also suit
 * shared memory.
 */
import { isEmpty, largestLane, maxMagnitude } from './vector';

/**
 * target[i] = float32(source[i]) * scale + shift, both operations rounded; any length, any
 * alignment.
 */
export function bytesToFloat32(
  source: usize,
  target: usize,
  length: i32,
  scale: f32,
  shift: f32,
): void {
  const scales = f32x4.splat(scale);
  const shifts = f32x4.splat(shift);
  const end = source + <usize>length;
  const vectorEnd = source + <usize>(length & ~3);
  if (source < vectorEnd) {
    do {
      const words = i16x8.extend_low_i8x16_u(v128.load32_zero(source));
      const x = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_u(words));
      v128.store(target, f32x4.add(f32x4.mul(x, scales), shifts));
      source += 4;
      target += 16;
    } while (source < vectorEnd);
  }
  while (source < end) {
    store<f32>(target, <f32>load<u8>(source) * scale + shift);
    source += 1;
    target += 4;
  }
}

/** target[i] = target[i] * scale + shift, both operations rounded; any length, any alignment. */
export function normalise(target: usize, length: i32, scale: f32, shift: f32): void {
  const scales = f32x4.splat(scale);
  const shifts = f32x4.splat(shift);
  const end = target + ((<usize>length) << 2);
  const vectorEnd = target + ((<usize>(length & ~3)) << 2);
  if (target < vectorEnd) {
    do {
      v128.store(target, f32x4.add(f32x4.mul(v128.load(target), scales), shifts));
      target += 16;
    } while (target < vectorEnd);
  }
  while (target < end) {
    store<f32>(target, load<f32>(target) * scale + shift);
    target += 4;
  }
}

/** max |source[i]|; NaN when one is NaN. */
export function maxAbs(source: usize, length: i32): f32 {
  if (isEmpty(length)) return 0;
  let largest = i32x4.splat(0);
  const end = source + ((<usize>length) << 2);
  do {
    largest = maxMagnitude(largest, v128.load(source));
    source += 16;
  } while (source < end);
  return largestLane(largest);
}

/** target[i] *= factor. */
export function scale(target: usize, length: i32, factor: f32): void {
  if (isEmpty(length)) return;
  const factors = f32x4.splat(factor);
  const end = target + ((<usize>length) << 2);
  do {
    v128.store(target, f32x4.mul(v128.load(target), factors));
    target += 16;
  } while (target < end);
}

export function copyBytes(target: usize, source: usize, byteLength: usize): void {
  memory.copy(target, source, byteLength);
}

export function zeroBytes(target: usize, byteLength: usize): void {
  memory.fill(target, 0, byteLength);
}
