/** Operators that put the elements along axes in proportion to each other. */
import {
  axisAttribute,
  inputAt,
  refuse,
  requireType,
  type Operator,
  type OperatorCall,
} from './operator.ts';
import { broadcastShapes, isSameShape } from '../values/shape.ts';
import type { ValueType } from '../values/types.ts';

/** Softmax and its logarithm along one axis: the shape stays. */
function softmax(): Operator {
  return {
    arity: [1, 1],
    attributes: { axis: 'int' },
    infer: (call) => {
      const { shape } = inputAt(call, 0);
      axisAttribute(call, shape, -1);
      return [{ type: requireType(call, 0, ['float32']), shape }];
    },
  };
}

/**
 * Y, and per normalised group the mean and 1 / sqrt(variance + epsilon), whose axes from `axis` on
 * are 1.
 */
function inferLayerNormalization(call: OperatorCall): readonly ValueType[] {
  const type = requireType(call, 0, ['float32']);
  const { shape } = inputAt(call, 0);
  const axis = axisAttribute(call, shape, -1);
  for (const factor of call.inputs.slice(1)) {
    const fits =
      factor === undefined || isSameShape(broadcastShapes(shape, factor.shape) ?? [], shape);
    if (!fits) refuse(call, 'scale and bias must broadcast to the input');
  }
  requireType(call, 1, [type]);
  const statistic = { type, shape: shape.map((size, i) => (i < axis ? size : 1)) };
  return [{ type, shape }, statistic, statistic];
}

/** Each channel of each sample by its own statistics: x [B, C, ...], scale and bias [C]. */
function inferInstanceNormalization(call: OperatorCall): readonly ValueType[] {
  const type = requireType(call, 0, ['float32']);
  const { shape } = inputAt(call, 0);
  if (shape.length < 3) refuse(call, 'expected [batch, channels, ...] with a spatial axis or more');
  for (const index of [1, 2]) {
    requireType(call, index, [type]);
    const fits = isSameShape(inputAt(call, index).shape, shape.slice(1, 2));
    if (!fits) refuse(call, 'scale and bias must have one number for each channel');
  }
  return [{ type, shape }];
}

/** The softmax family, LayerNormalization and InstanceNormalization. */
export const NORMALIZATION_OPERATORS = {
  Softmax: softmax(),
  LogSoftmax: softmax(),
  LayerNormalization: {
    arity: [2, 3],
    attributes: { axis: 'int', epsilon: 'float', stash_type: 'int' },
    infer: inferLayerNormalization,
  },
  InstanceNormalization: {
    arity: [3, 3],
    attributes: { epsilon: 'float' },
    infer: inferInstanceNormalization,
  },
} as const satisfies Readonly<Record<string, Operator>>;
