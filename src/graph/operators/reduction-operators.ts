/** Operators that fold axes: at opset 17 an input of ReduceSum, an attribute of the others. */
import {
  axisAttribute,
  constantInts,
  inputAt,
  numberAttribute,
  intsAttribute,
  refuse,
  requireType,
  resolveAxes,
  type Operator,
  type OperatorCall,
} from './operator.ts';
import type { Shape, ValueType } from '../values/types.ts';

/**
 * Sizes along `axes` become 1 (keepdims, the default) or vanish. No axes at all means every axis.
 */
function inferReduction(
  call: OperatorCall,
  axes: readonly number[] | undefined,
): readonly ValueType[] {
  const type = requireType(call, 0, ['float32', 'int32', 'int64']);
  const { shape } = inputAt(call, 0);
  const reducesNothing =
    axes?.length === 0 && numberAttribute(call, 'noop_with_empty_axes', 0) !== 0;
  if (reducesNothing) return [{ type, shape }];
  const all = axes === undefined || axes.length === 0 ? shape.map((_, axis) => axis) : axes;
  return [{ type, shape: foldShape(call, shape, resolveAxes(call, all, shape.length)) }];
}

function foldShape(call: OperatorCall, shape: Shape, axes: readonly number[]): Shape {
  const keeps = numberAttribute(call, 'keepdims', 1) !== 0;
  return shape.flatMap((size, axis) => (axes.includes(axis) ? (keeps ? [1] : []) : [size]));
}

function reductionByAttribute(): Operator {
  return {
    arity: [1, 1],
    attributes: { axes: 'ints', keepdims: 'int' },
    infer: (call) => inferReduction(call, intsAttribute(call, 'axes')),
  };
}

function inferArg(call: OperatorCall): readonly ValueType[] {
  requireType(call, 0, ['float32', 'int32', 'int64']);
  const { shape } = inputAt(call, 0);
  if (shape.length === 0) refuse(call, 'the input must have rank 1 or more');
  return [{ type: 'int64', shape: foldShape(call, shape, [axisAttribute(call, shape, 0)]) }];
}

function argReduction(): Operator {
  return {
    arity: [1, 1],
    attributes: { axis: 'int', keepdims: 'int', select_last_index: 'int' },
    infer: inferArg,
  };
}

/** Operators that fold axes. */
export const REDUCTION_OPERATORS = {
  ReduceSum: {
    arity: [1, 2],
    attributes: { keepdims: 'int', noop_with_empty_axes: 'int' },
    infer: (call) => inferReduction(call, constantInts(call, 1)),
  },
  ReduceMean: reductionByAttribute(),
  ReduceMax: reductionByAttribute(),
  ReduceMin: reductionByAttribute(),
  ReduceProd: reductionByAttribute(),
  ReduceL1: reductionByAttribute(),
  ReduceL2: reductionByAttribute(),
  ReduceSumSquare: reductionByAttribute(),
  ReduceLogSumExp: reductionByAttribute(),
  ArgMax: argReduction(),
  ArgMin: argReduction(),
} as const satisfies Readonly<Record<string, Operator>>;
