/**
 * Computes nodes whose inputs are all known before the graph runs.
 * Files from PyTorch compute shapes with nodes (Shape, Gather, Concat,
 * Reshape); once the batch size is a number these are numbers too.
 */
import { GraphError } from '../base/errors.ts';
import { ARITHMETIC_FOLDERS } from './fold-arithmetic.ts';
import { type Constant, constantAt, type FoldableCall, type Folder } from './folder.ts';
import {
  axisAttribute,
  inputAt,
  numberAttribute,
  intsAttribute,
  refuse,
} from './operators/operator.ts';
import { inferOutputs } from './operators/operators.ts';
import { sliceRanges } from './operators/selection-operators.ts';
import { isStatic, staticElementCount } from './values/shape.ts';
import { broadcastCopy, emptyData, stridedCopy, stridesOf } from './values/strided-copy.ts';

/**
 * Masks of a few thousand positions squared fit; a file that makes more has something else in mind.
 */
const MAX_ELEMENTS = 2 ** 24;

/**
 * The one output of a node whose inputs are constants (of Shape and Size, only the shape counts),
 * or undefined when they are not, or when the work is left to ONNX Runtime.
 *
 * Throws: ShapeError when the inputs do not fit the operator; GraphError for a result of more than
 *         2^24 elements.
 */
export function foldConstants(call: FoldableCall): Constant | undefined {
  const { operator } = call;
  const folder = Object.hasOwn(FOLDERS, operator) ? FOLDERS[operator] : undefined;
  const needsShapeOnly = operator === 'Shape' || operator === 'Size';
  if (
    folder === undefined ||
    !call.inputs.every((input) => input !== undefined && isStatic(input.shape))
  )
    return undefined;
  const inputs = needsShapeOnly ? [] : constantsOf(call);
  if (inputs === undefined) return undefined;
  const [output] = inferOutputs(call);
  if (output === undefined || !isStatic(output.shape)) return undefined;
  const { type, shape } = output;
  if (!isSmall(call, inputs, staticElementCount(shape))) return undefined;
  return { type, shape, data: folder(call, inputs, { type, shape }) };
}

/** Large weights are left to ONNX Runtime; a large constant made of small ones is refused. */
function isSmall(
  { operator, name }: FoldableCall,
  inputs: readonly Constant[],
  count: number,
): boolean {
  if (count <= MAX_ELEMENTS) return true;
  if (inputs.some(({ data }) => data.length >= count)) return false;
  throw new GraphError(
    `${operator} at ${name}: expected a constant of at most ${MAX_ELEMENTS} elements, got ${count}`,
    { operator, node: name },
  );
}

function constantsOf({ inputs }: FoldableCall): Constant[] | undefined {
  const constants: Constant[] = [];
  for (const input of inputs) {
    if (input?.constant === undefined || !isStatic(input.shape)) return undefined;
    constants.push({ type: input.type, shape: input.shape, data: input.constant });
  }
  return constants;
}

/** The same elements, in a new shape. */
const keep: Folder = (_, inputs) => constantAt(inputs, 0).data;

const shapeOf: Folder = (call) => {
  const { shape } = inputAt(call, 0);
  const sizes = shape.slice(
    numberAttribute(call, 'start', 0),
    numberAttribute(call, 'end', shape.length),
  );
  return BigInt64Array.from(sizes, BigInt);
};

const sizeOf: Folder = (call) =>
  BigInt64Array.of(
    inputAt(call, 0).shape.reduce<bigint>((count, size) => count * BigInt(size), 1n),
  );

const expand: Folder = (_, inputs, result) => {
  const { type, shape, data } = constantAt(inputs, 0);
  return broadcastCopy(type, data, shape, result.shape);
};

const transpose: Folder = (call, inputs, result) => {
  const { type, shape, data } = constantAt(inputs, 0);
  const strides = stridesOf(shape);
  const order = intsAttribute(call, 'perm') ?? shape.map((_, axis) => shape.length - 1 - axis);
  return stridedCopy(
    type,
    data,
    result.shape,
    order.map((axis) => strides.at(axis) ?? 0),
  );
};

const slice: Folder = (call, inputs, result) => {
  const { type, shape, data } = constantAt(inputs, 0);
  const strides = stridesOf(shape);
  const steps = [...strides];
  let offset = 0;
  for (const { axis, start, step } of sliceRanges(call)) {
    offset += start * (strides[axis] ?? 0);
    steps[axis] = step * (strides[axis] ?? 0);
  }
  return stridedCopy(type, data, result.shape, steps, offset);
};

/** What lies behind the axis moves in blocks. */
const gather: Folder = (call, inputs, result) => {
  const { type, shape, data } = constantAt(inputs, 0);
  const axis = axisAttribute(call, shape, 0);
  const size = shape[axis] ?? 0;
  const block = stridesOf(shape)[axis] ?? 1;
  const picked = [...constantAt(inputs, 1).data].map((given) => {
    const index = Number(given) < 0 ? Number(given) + size : Number(given);
    return index >= 0 && index < size
      ? index
      : refuse(call, `index ${given} is outside axis ${axis}`);
  });
  const made = emptyData(type, staticElementCount(result.shape));
  const rows = staticElementCount(shape.slice(0, axis));
  let to = 0;
  for (let row = 0; row < rows; row++) {
    for (const index of picked) {
      const from = (row * size + index) * block;
      for (let i = 0; i < block; i++) made[to++] = data[from + i] ?? 0;
    }
  }
  return made;
};

const concat: Folder = (call, inputs, { type, shape }) => {
  const rows = staticElementCount(shape.slice(0, axisAttribute(call, shape, 0)));
  const made = emptyData(type, staticElementCount(shape));
  let to = 0;
  for (let row = 0; row < rows; row++) {
    for (const { data } of inputs) {
      const length = data.length / rows;
      for (let i = 0; i < length; i++) made[to++] = data[row * length + i] ?? 0;
    }
  }
  return made;
};

const constantOfShape: Folder = (call, _, { type, shape }) => {
  const value = call.attributes['value'];
  const element = emptyData(type, 1);
  if (typeof value === 'object' && 'data' in value) element[0] = value.data[0] ?? 0;
  return broadcastCopy(type, element, [1], shape);
};

const FOLDERS: Readonly<Record<string, Folder>> = {
  ...ARITHMETIC_FOLDERS,
  Shape: shapeOf,
  Size: sizeOf,
  Identity: keep,
  Reshape: keep,
  Flatten: keep,
  Squeeze: keep,
  Unsqueeze: keep,
  Expand: expand,
  Transpose: transpose,
  Slice: slice,
  Gather: gather,
  Concat: concat,
  ConstantOfShape: constantOfShape,
};
