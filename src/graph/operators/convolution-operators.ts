/** Operators on images: [B, C, ...spatial], with windows that slide over the spatial axes. */
import {
  constantInts,
  inputAt,
  numberAttribute,
  intsAttribute,
  refuse,
  requireType,
  stringAttribute,
  type Operator,
  type OperatorCall,
} from './operator.ts';
import { formatShape, isSameShape } from '../values/shape.ts';
import type { Dimension, Shape, ValueType } from '../values/types.ts';
import { groupOf, perAxis, spatialSizes, windowCounts, windowOf } from './window.ts';

/** Checks that input 0 is [B, C, ...spatial] float32; gives its parts. */
function imageInput(call: OperatorCall): {
  batch: Dimension;
  channels: Dimension;
  sizes: readonly number[];
} {
  requireType(call, 0, ['float32']);
  const { shape } = inputAt(call, 0);
  const sizes = spatialSizes(call, shape);
  return { batch: shape[0] ?? 1, channels: shape[1] ?? 1, sizes };
}

/** The weight [a, b, ...kernel] of a convolution over as many spatial axes as the input has. */
function weightInput(
  call: OperatorCall,
  axes: number,
): { shape: readonly number[]; kernel: readonly number[] } {
  requireType(call, 1, ['float32']);
  const shape = inputAt(call, 1).shape.map((size) =>
    typeof size === 'number' ? size : refuse(call, 'the shape of the weight must be numbers'),
  );
  if (shape.length !== axes + 2) refuse(call, `the weight must have rank ${axes + 2}`);
  return { shape, kernel: shape.slice(2) };
}

/** The optional input 2, one number per output channel. */
function checkBias(call: OperatorCall, channels: number): void {
  if (call.inputs[2] === undefined) return;
  requireType(call, 2, ['float32']);
  if (!isSameShape(inputAt(call, 2).shape, [channels]))
    refuse(call, `the bias must be [${channels}]`);
}

/** x [B, C, ...], weight [M, C / group, ...kernel], bias [M] -> [B, M, ...], as in PyTorch. */
function inferConv(call: OperatorCall): readonly ValueType[] {
  const { batch, channels, sizes } = imageInput(call);
  const { shape, kernel } = weightInput(call, sizes.length);
  const [outputs = 1, perGroup = 1] = shape;
  const group = groupOf(call, channels, outputs);
  if (perGroup * group !== channels) {
    refuse(call, `the weight takes ${perGroup * group} channels, the input has ${channels}`);
  }
  checkBias(call, outputs);
  const counts = windowCounts(call, windowOf(call, kernel, sizes), sizes);
  return [{ type: 'float32', shape: [batch, outputs, ...counts] }];
}

/**
 * x [B, C, ...], weight [C, M / group, ...kernel] -> [B, M, ...]: the gradient of Conv by its
 * input, as an operator.
 */
function inferConvTranspose(call: OperatorCall): readonly ValueType[] {
  const { batch, channels, sizes } = imageInput(call);
  const { shape, kernel } = weightInput(call, sizes.length);
  const [inputs = 1, perGroup = 1] = shape;
  const group = groupOf(call, channels);
  if (inputs !== channels)
    refuse(call, `the weight takes ${inputs} channels, the input has ${channels}`);
  checkBias(call, perGroup * group);
  const isPlain =
    stringAttribute(call, 'auto_pad', 'NOTSET') === 'NOTSET' &&
    !intsAttribute(call, 'output_shape');
  if (!isPlain)
    refuse(call, 'auto_pad and output_shape are not supported: give pads and output_padding');
  const { strides, dilations, padsBegin, padsEnd } = windowOf(call, kernel, sizes);
  const extra = perAxis(call, 'output_padding', sizes.length, 0);
  const results = sizes.map((size, axis) => {
    const span = ((kernel[axis] ?? 1) - 1) * (dilations[axis] ?? 1) + 1;
    const full = (size - 1) * (strides[axis] ?? 1) + span + (extra[axis] ?? 0);
    return full - (padsBegin[axis] ?? 0) - (padsEnd[axis] ?? 0);
  });
  if (results.some((size) => size < 1))
    refuse(call, `the pads leave nothing: ${formatShape(results)}`);
  return [{ type: 'float32', shape: [batch, perGroup * group, ...results] }];
}

/** x [B, C, ...] -> [B, C, ...] with one element per window. */
function poolShape(call: OperatorCall): Shape {
  const { batch, channels, sizes } = imageInput(call);
  const kernel = intsAttribute(call, 'kernel_shape') ?? refuse(call, 'kernel_shape is missing');
  const window = windowOf(call, kernel, sizes);
  const isCovered = kernel.every(
    (size, axis) => Math.max(window.padsBegin[axis] ?? 0, window.padsEnd[axis] ?? 0) < size,
  );
  if (!isCovered)
    refuse(call, 'pads must be smaller than the kernel: a window may not lie in padding alone');
  const counts = windowCounts(call, window, sizes, numberAttribute(call, 'ceil_mode', 0) !== 0);
  return [batch, channels, ...counts];
}

/**
 * The second output holds the place of each maximum, as an index into all elements of the input.
 */
function inferMaxPool(call: OperatorCall): readonly ValueType[] {
  if (numberAttribute(call, 'storage_order', 0) !== 0)
    refuse(call, 'storage_order must be 0 (row-major)');
  const shape = poolShape(call);
  return [
    { type: 'float32', shape },
    { type: 'int64', shape },
  ];
}

/** Pooled elements back at their indices, zeros elsewhere; the third input is the whole shape. */
function inferMaxUnpool(call: OperatorCall): readonly ValueType[] {
  requireType(call, 0, ['float32']);
  requireType(call, 1, ['int64']);
  if (!isSameShape(inputAt(call, 0).shape, inputAt(call, 1).shape)) {
    refuse(call, 'values and indices must have one shape');
  }
  const shape = constantInts(call, 2) ?? refuse(call, 'the output shape is missing');
  return [{ type: 'float32', shape }];
}

/** [B, C, ...] -> [B, C, 1, ...] */
function inferGlobalPool(call: OperatorCall): readonly ValueType[] {
  const { batch, channels, sizes } = imageInput(call);
  return [{ type: 'float32', shape: [batch, channels, ...sizes.map(() => 1)] }];
}

/** y = scale (x - mean) / sqrt(variance + epsilon) + bias, per channel; all four are [C]. */
function inferBatchNormalization(call: OperatorCall): readonly ValueType[] {
  requireType(call, 0, ['float32']);
  const { shape } = inputAt(call, 0);
  const channels = shape[1] ?? refuse(call, 'expected [batch, channels, ...]');
  if (numberAttribute(call, 'training_mode', 0) !== 0) {
    refuse(call, 'training_mode 1 is not supported: export the model in inference form');
  }
  for (const index of [1, 2, 3, 4]) {
    requireType(call, index, ['float32']);
    if (!isSameShape(inputAt(call, index).shape, [channels]))
      refuse(call, `input ${index} must be [${channels}]`);
  }
  return [{ type: 'float32', shape }];
}

/** Adds (or, where negative, takes away) elements at both ends of every axis. */
function inferPad(call: OperatorCall): readonly ValueType[] {
  const { type, shape } = inputAt(call, 0);
  const mode = stringAttribute(call, 'mode', 'constant');
  if (mode !== 'constant' && mode !== 'reflect' && mode !== 'edge')
    refuse(call, `mode ${mode} is not known`);
  const pads = constantInts(call, 1) ?? refuse(call, 'the pads are missing');
  if (pads.length !== 2 * shape.length)
    refuse(call, `expected ${2 * shape.length} pads, got ${pads.length}`);
  const sizes = shape.map((size, axis) => {
    const [begin = 0, end = 0] = [pads[axis], pads[axis + shape.length]];
    if (begin === 0 && end === 0) return size;
    if (typeof size === 'string') return refuse(call, `the symbolic axis ${axis} cannot be padded`);
    const isTooFar = mode === 'reflect' && Math.max(begin, end) >= size;
    if (isTooFar || size + begin + end < 0) refuse(call, `pads ${formatShape(pads)} do not fit`);
    return size + begin + end;
  });
  return [{ type, shape: sizes }];
}

const WINDOW_ATTRIBUTES = {
  auto_pad: 'string',
  kernel_shape: 'ints',
  pads: 'ints',
  strides: 'ints',
} as const;

/** Operators with windows over images, batch normalisation at inference, and padding. */
export const CONVOLUTION_OPERATORS = {
  Conv: {
    arity: [2, 3],
    attributes: { ...WINDOW_ATTRIBUTES, dilations: 'ints', group: 'int' },
    infer: inferConv,
  },
  ConvTranspose: {
    arity: [2, 3],
    attributes: {
      ...WINDOW_ATTRIBUTES,
      dilations: 'ints',
      group: 'int',
      output_padding: 'ints',
      output_shape: 'ints',
    },
    infer: inferConvTranspose,
  },
  MaxPool: {
    arity: [1, 1],
    attributes: { ...WINDOW_ATTRIBUTES, ceil_mode: 'int', dilations: 'ints', storage_order: 'int' },
    infer: inferMaxPool,
  },
  MaxUnpool: {
    arity: [3, 3],
    attributes: { kernel_shape: 'ints', pads: 'ints', strides: 'ints' },
    infer: inferMaxUnpool,
  },
  AveragePool: {
    arity: [1, 1],
    attributes: { ...WINDOW_ATTRIBUTES, ceil_mode: 'int', count_include_pad: 'int' },
    infer: (call) => [{ type: 'float32', shape: poolShape(call) }],
  },
  GlobalAveragePool: { arity: [1, 1], attributes: {}, infer: inferGlobalPool },
  GlobalMaxPool: { arity: [1, 1], attributes: {}, infer: inferGlobalPool },
  BatchNormalization: {
    arity: [5, 5],
    attributes: { epsilon: 'float', momentum: 'float', training_mode: 'int' },
    infer: inferBatchNormalization,
  },
  Pad: { arity: [2, 3], attributes: { mode: 'string' }, infer: inferPad },
} as const satisfies Readonly<Record<string, Operator>>;
