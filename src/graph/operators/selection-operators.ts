/** Operators that pick elements out of a value, put elements into one, or put values together. */
import {
  axisAttribute,
  constantInts,
  inputAt,
  numberAttribute,
  refuse,
  requireType,
  resolveAxis,
  type Operator,
  type OperatorCall,
} from './operator.ts';
import { isSameShape } from '../values/shape.ts';
import type { Dimension, ElementType, Shape, ValueType } from '../values/types.ts';

const INDICES: readonly ElementType[] = ['int32', 'int64'];
const ANY_COUNT = 2 ** 16;

/** data [..., size at axis, ...] and indices [...] -> the indices' axes in place of that axis. */
function inferGather(call: OperatorCall): readonly ValueType[] {
  const { type, shape } = inputAt(call, 0);
  requireType(call, 1, INDICES);
  const axis = axisAttribute(call, shape, 0);
  return [{ type, shape: shape.toSpliced(axis, 1, ...inputAt(call, 1).shape) }];
}

/** indices [...rows, depth] name the first `depth` axes of data behind the batch axes. */
function inferGatherND(call: OperatorCall): readonly ValueType[] {
  const { type, shape } = inputAt(call, 0);
  requireType(call, 1, ['int64']);
  if (numberAttribute(call, 'batch_dims', 0) !== 0) refuse(call, 'batch_dims is not supported');
  const indices = inputAt(call, 1).shape;
  return [
    { type, shape: [...indices.slice(0, -1), ...shape.slice(indexDepth(call, indices, shape))] },
  ];
}

/** data with `updates` [...rows, ...rest] written (or added) at indices [...rows, depth]. */
function inferScatterND(call: OperatorCall): readonly ValueType[] {
  const { type, shape } = inputAt(call, 0);
  requireType(call, 1, ['int64']);
  requireType(call, 2, [type]);
  const indices = inputAt(call, 1).shape;
  const expected = [...indices.slice(0, -1), ...shape.slice(indexDepth(call, indices, shape))];
  if (!isSameShape(inputAt(call, 2).shape, expected))
    refuse(call, `the updates must be ${expected.join(' x ')}`);
  return [{ type, shape }];
}

function indexDepth(call: OperatorCall, indices: Shape, shape: Shape): number {
  const depth = indices.at(-1);
  if (typeof depth === 'number' && depth >= 1 && depth <= shape.length) return depth;
  return refuse(call, `the last axis of the indices must be 1 to ${shape.length}`);
}

/** data and indices of one rank: the result has the shape of the indices. */
function inferGatherElements(call: OperatorCall): readonly ValueType[] {
  const { type, shape } = inputAt(call, 0);
  requireType(call, 1, INDICES);
  const indices = inputAt(call, 1).shape;
  if (indices.length !== shape.length) refuse(call, 'data and indices must have one rank');
  axisAttribute(call, shape, 0);
  return [{ type, shape: indices }];
}

/** data with `updates` written (or added) at `indices`; updates and indices have one shape. */
function inferScatterElements(call: OperatorCall): readonly ValueType[] {
  const { type, shape } = inputAt(call, 0);
  requireType(call, 1, INDICES);
  requireType(call, 2, [type]);
  const indices = inputAt(call, 1).shape;
  if (indices.length !== shape.length) refuse(call, 'data and indices must have one rank');
  if (!isSameShape(indices, inputAt(call, 2).shape))
    refuse(call, 'indices and updates must have one shape');
  axisAttribute(call, shape, 0);
  return [{ type, shape }];
}

/**
 * indices [...], depth, [off, on] -> [..., depth] at
 * `axis`; an index outside the depth gives a row of `off`.
 */
function inferOneHot(call: OperatorCall): readonly ValueType[] {
  const indices = inputAt(call, 0).shape;
  requireType(call, 0, ['float32', 'int32', 'int64']);
  const depth = constantInts(call, 1)?.[0];
  if (depth === undefined || depth < 1) return refuse(call, 'the depth must be 1 or more');
  if (!isSameShape(inputAt(call, 2).shape, [2])) refuse(call, 'values must be [off, on]');
  const axis = axisAttribute(call, [...indices, depth], -1);
  return [{ type: inputAt(call, 2).type, shape: indices.toSpliced(axis, 0, depth) }];
}

/** Values of one type whose shapes differ along `axis` only. */
function inferConcat(call: OperatorCall): readonly ValueType[] {
  const { type, shape } = inputAt(call, 0);
  if (call.attributes['axis'] === undefined) refuse(call, 'the attribute axis is missing');
  const axis = axisAttribute(call, shape, 0);
  const sizes = call.inputs.map((_, index) => {
    requireType(call, index, [type]);
    const other = inputAt(call, index).shape;
    if (!isSameShape(other.toSpliced(axis, 1), shape.toSpliced(axis, 1))) {
      refuse(call, `the shapes must agree outside axis ${axis}`);
    }
    return other[axis] ?? refuse(call, `inputs must have an axis ${axis}`);
  });
  return [{ type, shape: shape.with(axis, sum(call, sizes)) }];
}

function sum(call: OperatorCall, sizes: readonly Dimension[]): Dimension {
  const [first] = sizes;
  if (sizes.length === 1 && first !== undefined) return first;
  return sizes.reduce<number>(
    (total, size) =>
      typeof size === 'number' ? total + size : refuse(call, `the size ${size} is not a number`),
    0,
  );
}

/**
 * Parts of the given sizes along `axis`; without sizes, as many equal ones as there are outputs.
 */
function inferSplit(call: OperatorCall): readonly ValueType[] {
  const { type, shape } = inputAt(call, 0);
  const axis = axisAttribute(call, shape, 0);
  const size = shape[axis];
  if (typeof size !== 'number')
    return refuse(call, `the size ${size} of axis ${axis} must be a number`);
  const count = call.outputCount ?? 1;
  const sizes = constantInts(call, 1) ?? Array<number>(count).fill(size / count);
  const isWhole =
    sizes.every((each) => Number.isInteger(each) && each >= 0) &&
    sizes.reduce((a, b) => a + b, 0) === size;
  if (!isWhole) refuse(call, `the sizes ${sizes.join(', ')} do not add up to ${size}`);
  return sizes.map((each) => ({ type, shape: shape.with(axis, each) }));
}

/** What a slice takes from one axis: elements start, start + step, ..., `count` of them. */
export interface SliceRange {
  readonly axis: number;
  readonly start: number;
  readonly step: number;
  readonly count: number;
}

/** Each axis that is named shrinks to the number of its elements that are taken. */
function inferSlice(call: OperatorCall): readonly ValueType[] {
  const { type, shape } = inputAt(call, 0);
  const sizes = [...shape];
  for (const { axis, count } of sliceRanges(call)) sizes[axis] = count;
  return [{ type, shape: sizes }];
}

/**
 * What a Slice takes from each axis that it names; an axis of symbolic size, which must be taken
 * whole, is left out.
 */
export function sliceRanges(call: OperatorCall): readonly SliceRange[] {
  const { shape } = inputAt(call, 0);
  const starts = constantInts(call, 1) ?? refuse(call, 'the starts are missing');
  const ends = constantInts(call, 2) ?? refuse(call, 'the ends are missing');
  const axes = constantInts(call, 3) ?? starts.map((_, i) => i);
  const steps = constantInts(call, 4) ?? starts.map(() => 1);
  if (![ends, axes, steps].every((list) => list.length === starts.length)) {
    refuse(call, 'starts, ends, axes and steps must have one length');
  }
  return axes.flatMap((given, i) => {
    const axis = resolveAxis(call, given, shape.length);
    const size = shape[axis];
    const [start = 0, end = 0, step = 1] = [starts[i], ends[i], steps[i]];
    if (step === 0) refuse(call, 'steps must not be 0');
    if (typeof size === 'number') return [rangeOf(axis, size, start, end, step)];
    const isWhole = start === 0 && step === 1 && end >= 2 ** 31 - 1;
    return isWhole
      ? []
      : refuse(call, `axis ${axis} has the symbolic size ${size}, so it can only be taken whole`);
  });
}

/** Negative positions count from the end; positions outside are moved to the edge. */
function rangeOf(axis: number, size: number, start: number, end: number, step: number): SliceRange {
  const [least, greatest] = step > 0 ? [0, size] : [-1, size - 1];
  const place = (position: number): number =>
    Math.min(Math.max(position < 0 ? position + size : position, least), greatest);
  const first = place(start);
  return { axis, start: first, step, count: Math.max(0, Math.ceil((place(end) - first) / step)) };
}

/** The lower or upper triangle of the last two axes; elsewhere zeros. */
function inferTrilu(call: OperatorCall): readonly ValueType[] {
  const { type, shape } = inputAt(call, 0);
  constantInts(call, 1);
  if (shape.length < 2) refuse(call, 'the input must have rank 2 or more');
  return [{ type, shape }];
}

/** Operators that pick, put and join elements. */
export const SELECTION_OPERATORS = {
  Gather: { arity: [2, 2], attributes: { axis: 'int' }, infer: inferGather },
  GatherND: { arity: [2, 2], attributes: { batch_dims: 'int' }, infer: inferGatherND },
  GatherElements: { arity: [2, 2], attributes: { axis: 'int' }, infer: inferGatherElements },
  ScatterND: { arity: [3, 3], attributes: { reduction: 'string' }, infer: inferScatterND },
  ScatterElements: {
    arity: [3, 3],
    attributes: { axis: 'int', reduction: 'string' },
    infer: inferScatterElements,
  },
  OneHot: { arity: [3, 3], attributes: { axis: 'int' }, infer: inferOneHot },
  Concat: { arity: [1, ANY_COUNT], attributes: { axis: 'int' }, infer: inferConcat },
  Split: { arity: [1, 2], attributes: { axis: 'int' }, infer: inferSplit },
  Slice: { arity: [3, 5], attributes: {}, infer: inferSlice },
  Trilu: { arity: [1, 2], attributes: { upper: 'int' }, infer: inferTrilu },
} as const satisfies Readonly<Record<string, Operator>>;
