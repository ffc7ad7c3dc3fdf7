/** What a convolution's kernel meets at each of its positions, as slices of the padded input. */
import type { GraphBuilder } from '../graph/builder.ts';
import type { ValueInfo } from '../graph/values/types.ts';
import { kernelPositions, type ConvSignature } from './conv-signature.ts';

/**
 * For every kernel position the part of `x` that it meets: the spatial axes, which begin at `axis`,
 * shrink from `sizes` to `counts`; all other axes stay.
 */
export function slicesByPosition(
  g: GraphBuilder,
  x: ValueInfo,
  axis: number,
  signature: ConvSignature,
): ValueInfo[] {
  const { strides, dilations, counts, padsBegin, padsEnd } = signature;
  const axes = counts.map((_, i) => axis + i);
  const rest = Array<number>(x.shape.length - axis - counts.length).fill(0);
  const before = Array<number>(axis).fill(0);
  const isPadded = [...padsBegin, ...padsEnd].some((pad) => pad > 0);
  const padded = isPadded
    ? g.pad(x, [...before, ...padsBegin, ...rest, ...before, ...padsEnd, ...rest])
    : x;
  const isWhole = (starts: readonly number[]): boolean =>
    axes.every((a, i) => starts[i] === 0 && strides[i] === 1 && padded.shape[a] === counts[i]);
  return kernelPositions(signature).map((position) => {
    const starts = position.map((index, i) => index * (dilations[i] ?? 1));
    if (isWhole(starts)) return padded;
    const ends = starts.map((start, i) => start + ((counts[i] ?? 1) - 1) * (strides[i] ?? 1) + 1);
    const isStrided = strides.some((stride) => stride !== 1);
    return g.slice(padded, { axes, starts, ends, ...(isStrided && { steps: strides }) });
  });
}

/** Joined along `axis`; one value alone stays as it is. */
export function join(g: GraphBuilder, values: readonly ValueInfo[], axis: number): ValueInfo {
  const [first] = values;
  return first !== undefined && values.length === 1 ? first : g.concat(values, axis);
}

/** Moves the axes of a value; a value whose axes stay where they are costs nothing. */
export function permute(
  g: GraphBuilder,
  value: ValueInfo,
  permutation: readonly number[],
): ValueInfo {
  return permutation.every((axis, i) => axis === i) ? value : g.transpose(value, permutation);
}

/** `count` axes from `first` on. */
export function axesFrom(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => first + i);
}
