/** Moves elements of a tensor: to reorder, repeat or cut is a walk with one stride per axis. */
import type { ElementType, TensorData } from './types.ts';

/** New, zeroed elements of a type. */
export function emptyData(type: ElementType, length: number): TensorData {
  if (type === 'float32') return new Float32Array(length);
  if (type === 'int32') return new Int32Array(length);
  if (type === 'int64') return new BigInt64Array(length);
  return new Uint8Array(length);
}

/** Elements between neighbours along each axis of a tensor in row-major order. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides = shape.map(() => 1);
  for (let axis = shape.length - 2; axis >= 0; axis--) {
    strides[axis] = (strides[axis + 1] ?? 1) * (shape[axis + 1] ?? 1);
  }
  return strides;
}

/**
 * The elements of a tensor of `shape` whose element [i, j, ...] is source[offset + i * strides[0] +
 * j * strides[1] ...]. A stride of 0 repeats, a negative one walks backwards.
 */
export function stridedCopy(
  type: ElementType,
  source: TensorData,
  shape: readonly number[],
  strides: readonly number[],
  offset = 0,
): TensorData {
  const length = shape.reduce((a, b) => a * b, 1);
  const copy = emptyData(type, length);
  const index = shape.map(() => 0);
  let from = offset;
  for (let i = 0; i < length; i++) {
    copy[i] = source[from] ?? 0;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const [at, size, stride] = [(index[axis] ?? 0) + 1, shape[axis] ?? 1, strides[axis] ?? 0];
      index[axis] = at < size ? at : 0;
      from += at < size ? stride : -stride * (size - 1);
      if (at < size) break;
    }
  }
  return copy;
}

/** The elements of a tensor of shape `from`, repeated to the shape `to` to which it broadcasts. */
export function broadcastCopy(
  type: ElementType,
  source: TensorData,
  from: readonly number[],
  to: readonly number[],
): TensorData {
  if (from.join() === to.join()) return source;
  const own = stridesOf(from);
  const missing = to.length - from.length;
  const strides = to.map((_, axis) =>
    axis < missing || from[axis - missing] === 1 ? 0 : (own[axis - missing] ?? 0),
  );
  return stridedCopy(type, source, to, strides);
}
