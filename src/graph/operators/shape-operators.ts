/** Operators that reshape, repeat or make elements, and those that tell a shape. */
import {
  constantInts,
  inputAt,
  numberAttribute,
  intsAttribute,
  refuse,
  requireType,
  resolveAxes,
  stringAttribute,
  type Operator,
  type OperatorCall,
} from './operator.ts';
import { inferResize } from './resampling.ts';
import { broadcastShapes, elementCount, formatShape } from '../values/shape.ts';
import type { Dimension, Shape, ValueType } from '../values/types.ts';

/** The target holds sizes; 0 copies the input's size, one -1 takes what is left. */
function inferReshape(call: OperatorCall): readonly ValueType[] {
  const { type, shape } = inputAt(call, 0);
  const target = constantInts(call, 1) ?? refuse(call, 'the target shape is missing');
  if (numberAttribute(call, 'allowzero', 0) !== 0) refuse(call, 'allowzero is not supported');
  const sizes: Dimension[] = target.map((size, axis) =>
    size === 0 ? (shape[axis] ?? refuse(call, `there is no axis ${axis} to copy`)) : size,
  );
  const open = sizes.indexOf(-1);
  if (sizes.some((size, axis) => typeof size === 'number' && size < 0 && axis !== open)) {
    refuse(call, `cannot reshape to ${formatShape(target)}`);
  }
  if (open >= 0) sizes[open] = sizeLeft(call, shape, sizes.toSpliced(open, 1));
  const [before, after] = [elementCount(shape), elementCount(sizes)];
  if (before !== after) refuse(call, `cannot reshape to ${formatShape(target)}`);
  return [{ type, shape: sizes }];
}

/** Elements of `shape` divided by those of `others`; a symbolic size on both sides cancels. */
function sizeLeft(call: OperatorCall, shape: Shape, others: Shape): Dimension {
  const rest = [...shape];
  for (const other of others) {
    if (typeof other !== 'string') continue;
    const at = rest.indexOf(other);
    if (at >= 0) rest.splice(at, 1);
  }
  const symbols = rest.filter((size) => typeof size === 'string');
  const known = rest.filter((size) => typeof size === 'number').reduce((a, b) => a * b, 1);
  const given = others.filter((size) => typeof size === 'number').reduce((a, b) => a * b, 1);
  if (symbols.length === 1 && known === given) return symbols[0] as string;
  if (symbols.length > 0 || given === 0 || known % given !== 0)
    refuse(call, 'cannot find the size for -1');
  return known / given;
}

/** Permutes axes; without `perm` they are reversed. */
function inferTranspose(call: OperatorCall): readonly ValueType[] {
  const { type, shape } = inputAt(call, 0);
  const permutation =
    intsAttribute(call, 'perm') ?? shape.map((_, axis) => shape.length - 1 - axis);
  if (permutation.length !== shape.length) refuse(call, `perm must name ${shape.length} axes`);
  resolveAxes(call, permutation, shape.length);
  return [
    { type, shape: permutation.map((axis) => shape.at(axis) ?? refuse(call, 'perm is wrong')) },
  ];
}

/** [d0 ... d(axis-1), d(axis) ...] becomes a matrix. */
function inferFlatten(call: OperatorCall): readonly ValueType[] {
  const { type, shape } = inputAt(call, 0);
  const axis = numberAttribute(call, 'axis', 1);
  const split = axis < 0 ? axis + shape.length : axis;
  if (split < 0 || split > shape.length)
    refuse(call, `axis ${axis} is outside rank ${shape.length}`);
  return [{ type, shape: [merge(call, shape.slice(0, split)), merge(call, shape.slice(split))] }];
}

function merge(call: OperatorCall, shape: Shape): Dimension {
  const others = shape.filter((size) => size !== 1);
  if (others.length === 1) return others[0] as Dimension;
  return (
    elementCount(shape) ?? refuse(call, `cannot merge the symbolic sizes ${formatShape(shape)}`)
  );
}

function inferUnsqueeze(call: OperatorCall): readonly ValueType[] {
  const { type, shape } = inputAt(call, 0);
  const axes = constantInts(call, 1) ?? refuse(call, 'the axes are missing');
  const rank = shape.length + axes.length;
  const inserted = new Set(resolveAxes(call, axes, rank));
  const rest = shape[Symbol.iterator]();
  const sizes = Array.from({ length: rank }, (_, axis) =>
    inserted.has(axis) ? 1 : rest.next().value,
  );
  return [{ type, shape: sizes.map((size) => size ?? refuse(call, 'axes do not fit')) }];
}

function inferSqueeze(call: OperatorCall): readonly ValueType[] {
  const { type, shape } = inputAt(call, 0);
  const given = constantInts(call, 1) ?? shape.flatMap((size, axis) => (size === 1 ? [axis] : []));
  const axes = resolveAxes(call, given, shape.length);
  if (axes.some((axis) => shape[axis] !== 1))
    refuse(call, `axes ${axes.join(', ')} are not all of size 1`);
  return [{ type, shape: shape.filter((_, axis) => !axes.includes(axis)) }];
}

/** Broadcasts both ways: the result can be larger than the target. */
function inferExpand(call: OperatorCall): readonly ValueType[] {
  const { type, shape } = inputAt(call, 0);
  const target = constantInts(call, 1) ?? refuse(call, 'the target shape is missing');
  const result =
    broadcastShapes(shape, target) ?? refuse(call, `cannot expand to ${formatShape(target)}`);
  return [{ type, shape: result }];
}

function inferConstantOfShape(call: OperatorCall): readonly ValueType[] {
  const shape = constantInts(call, 0) ?? refuse(call, 'the shape is missing');
  if (shape.some((size) => size < 0)) refuse(call, 'sizes must not be negative');
  const value = call.attributes['value'];
  return [{ type: typeof value === 'object' && 'type' in value ? value.type : 'float32', shape }];
}

/** Sizes of the input from axis `start` to before `end`. */
function inferShape(call: OperatorCall): readonly ValueType[] {
  const { shape } = inputAt(call, 0);
  const sizes = shape.slice(
    numberAttribute(call, 'start', 0),
    numberAttribute(call, 'end', shape.length),
  );
  return [{ type: 'int64', shape: [sizes.length] }];
}

/** start, start + delta, ... before limit. */
function inferRange(call: OperatorCall): readonly ValueType[] {
  const type = requireType(call, 0, ['float32', 'int32', 'int64']);
  const [start, limit, delta] = [0, 1, 2].map((index) => {
    requireType(call, index, [type]);
    return constantInts(call, index)?.[0];
  });
  if (start === undefined || limit === undefined || !delta) {
    return refuse(call, 'start, limit and delta must be numbers, and delta not 0');
  }
  return [{ type, shape: [Math.max(0, Math.ceil((limit - start) / delta))] }];
}

/** Axis i is repeated repeats[i] times; an axis of symbolic size must not be. */
function inferTile(call: OperatorCall): readonly ValueType[] {
  const { type, shape } = inputAt(call, 0);
  const repeats = constantInts(call, 1) ?? refuse(call, 'the repeats are missing');
  if (repeats.length !== shape.length)
    refuse(call, `expected ${shape.length} repeats, got ${repeats.length}`);
  const sizes = shape.map((size, axis) => {
    const count = repeats[axis] ?? 1;
    if (count < 0) return refuse(call, 'repeats must be 0 or more');
    if (count === 1) return size;
    return typeof size === 'number'
      ? size * count
      : refuse(call, `cannot repeat the symbolic size ${size}`);
  });
  return [{ type, shape: sizes }];
}

/** Sums of all elements up to each one along an axis: the shape stays. */
function inferCumSum(call: OperatorCall): readonly ValueType[] {
  const { shape } = inputAt(call, 0);
  const axis = constantInts(call, 1)?.[0] ?? refuse(call, 'the axis is missing');
  resolveAxes(call, [axis], shape.length);
  return [{ type: requireType(call, 0, ['float32', 'int32', 'int64']), shape }];
}

/** Sizes of a DepthToSpace: blocks of b x b from as many channels each, and in which order. */
export function depthToSpaceOf(call: OperatorCall): {
  readonly block: number;
  /** [B, C, H, W], all channels. */
  readonly sizes: readonly [Dimension, number, number, number];
  /** Whether the channels of one block lie apart (DCR) or side by side (CRD). */
  readonly order: 'DCR' | 'CRD';
} {
  const [batch = 1, channels, height, width, ...rest] = inputAt(call, 0).shape;
  const block = numberAttribute(call, 'blocksize', 0);
  const order = stringAttribute(call, 'mode', 'DCR');
  if (order !== 'DCR' && order !== 'CRD')
    refuse(call, `expected the mode DCR or CRD, got ${order}`);
  const areKnown =
    typeof channels === 'number' && typeof height === 'number' && typeof width === 'number';
  if (!areKnown || rest.length > 0)
    return refuse(call, 'expected [batch, channels, height, width]');
  if (block < 1 || channels % block ** 2 !== 0)
    refuse(call, `the square of the blocksize ${block} must divide the ${channels} channels`);
  return { block, sizes: [batch, channels, height, width], order };
}

/** Channels become the pixels of blocks. */
function inferDepthToSpace(call: OperatorCall): readonly ValueType[] {
  const { block, sizes } = depthToSpaceOf(call);
  const [batch, channels, height, width] = sizes;
  const shape = [batch, channels / block ** 2, height * block, width * block];
  return [{ type: requireType(call, 0, ['float32']), shape }];
}

/** Operators that reshape, repeat or make elements, and those that tell a shape. */
export const SHAPE_OPERATORS = {
  Reshape: { arity: [2, 2], attributes: { allowzero: 'int' }, infer: inferReshape },
  Transpose: { arity: [1, 1], attributes: { perm: 'ints' }, infer: inferTranspose },
  Flatten: { arity: [1, 1], attributes: { axis: 'int' }, infer: inferFlatten },
  Unsqueeze: { arity: [2, 2], attributes: {}, infer: inferUnsqueeze },
  Squeeze: { arity: [1, 2], attributes: {}, infer: inferSqueeze },
  Expand: { arity: [2, 2], attributes: {}, infer: inferExpand },
  ConstantOfShape: { arity: [1, 1], attributes: { value: 'tensor' }, infer: inferConstantOfShape },
  Shape: { arity: [1, 1], attributes: { start: 'int', end: 'int' }, infer: inferShape },
  Size: { arity: [1, 1], attributes: {}, infer: () => [{ type: 'int64', shape: [] }] },
  Range: { arity: [3, 3], attributes: {}, infer: inferRange },
  Tile: { arity: [2, 2], attributes: {}, infer: inferTile },
  DepthToSpace: {
    arity: [1, 1],
    attributes: { blocksize: 'int', mode: 'string' },
    infer: inferDepthToSpace,
  },
  Resize: {
    arity: [1, 4],
    attributes: {
      coordinate_transformation_mode: 'string',
      cubic_coeff_a: 'float',
      exclude_outside: 'int',
      extrapolation_value: 'float',
      mode: 'string',
      nearest_mode: 'string',
    },
    infer: inferResize,
  },
  CumSum: { arity: [2, 2], attributes: { exclusive: 'int', reverse: 'int' }, infer: inferCumSum },
} as const satisfies Readonly<Record<string, Operator>>;
