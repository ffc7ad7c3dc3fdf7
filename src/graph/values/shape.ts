/** Arithmetic on shapes, with symbolic dimensions, as in ONNX and NumPy. */
import type { Dimension, Shape } from './types.ts';

/** `[32, 784]`, `[batch, 10]`, `[]`: a shape as it stands in messages and printed graphs. */
export function formatShape(shape: Shape): string {
  return `[${shape.join(', ')}]`;
}

/** Whether both have the same rank and dimensions; symbols are equal by name. */
export function isSameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dimension, i) => dimension === b[i]);
}

/** True when no dimension is symbolic. */
export function isStatic(shape: Shape): shape is readonly number[] {
  return shape.every((dimension) => typeof dimension === 'number');
}

/** Number of elements; undefined when a dimension is symbolic. */
export function elementCount(shape: Shape): number | undefined {
  return isStatic(shape) ? shape.reduce((product, size) => product * size, 1) : undefined;
}

/** Elements of a shape without symbolic dimensions. */
export function staticElementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/**
 * The shape of an elementwise operation on `a` and `b`: aligned at the right, sizes equal or one of
 * them 1. Undefined when they do not fit. A symbolic dimension fits itself and 1, nothing else.
 */
export function broadcastShapes(a: Shape, b: Shape): Shape | undefined {
  const rank = Math.max(a.length, b.length);
  const result: Dimension[] = [];
  for (let i = 0; i < rank; i++) {
    const left = a[i - (rank - a.length)] ?? 1;
    const right = b[i - (rank - b.length)] ?? 1;
    if (left !== right && left !== 1 && right !== 1) return undefined;
    result.push(left === 1 ? right : left);
  }
  return result;
}

/**
 * The axis as an index 0 .. rank - 1 (negative counts from the end); undefined when it is outside.
 */
export function normalizeAxis(axis: number, rank: number): number | undefined {
  const index = axis < 0 ? axis + rank : axis;
  return index >= 0 && index < rank ? index : undefined;
}

/** Axes of `to` along which a tensor of shape `from` was repeated when it was broadcast to `to`. */
export function broadcastAxes(from: Shape, to: Shape): number[] {
  const offset = to.length - from.length;
  return to.flatMap((size, axis) => {
    const own = axis < offset ? undefined : from[axis - offset];
    return own === undefined || (own === 1 && size !== 1) ? [axis] : [];
  });
}

const MAX_RANK = 32;
const MAX_ELEMENTS = 2 ** 36;

/**
 * Why no value can have this shape; undefined when it
 * is fine. Guards against files that were made to hurt.
 */
export function shapeProblem(shape: Shape): string | undefined {
  if (shape.length > MAX_RANK) return `expected rank ${MAX_RANK} at most, got ${shape.length}`;
  const bad = shape.find((size) =>
    typeof size === 'number' ? !Number.isSafeInteger(size) || size < 0 : size === '',
  );
  if (bad !== undefined) return `expected sizes of 0 or more, got ${formatShape(shape)}`;
  const known = shape.filter((size) => typeof size === 'number').reduce((a, b) => a * b, 1);
  return known > MAX_ELEMENTS ? `${formatShape(shape)} has more than 2^36 elements` : undefined;
}
