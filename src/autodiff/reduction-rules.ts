/** Gradients of operators that fold axes. */
import { numberAttribute, intsAttribute } from '../graph/operators/operator.ts';
import { normalizeAxis } from '../graph/values/shape.ts';
import type { ValueInfo } from '../graph/values/types.ts';
import type { GradientCall, GradientRule, NotDifferentiable } from './gradient-rule.ts';
import { notDifferentiable, staticShape, times, unary } from './gradient-rule.ts';

/** Axes that a reduction folds, from its attribute or its constant second input. */
function foldedAxes({ g, node, input }: GradientCall): readonly number[] {
  const rank = input(0).shape.length;
  const fromInput = node.inputs[1] ? g.constantOf(input(1)) : undefined;
  const axes = fromInput ? Array.from(fromInput, Number) : (intsAttribute(node, 'axes') ?? []);
  const everything = axes.length === 0 && numberAttribute(node, 'noop_with_empty_axes', 0) === 0;
  if (everything) return input(0).shape.map((_, axis) => axis);
  return axes.map((axis) => normalizeAxis(axis, rank) ?? axis).sort((a, b) => a - b);
}

/** A reduced value with its folded axes back as size 1, so that it broadcasts against the input. */
function withFoldedAxes(call: GradientCall, value: ValueInfo): ValueInfo {
  const isKept = numberAttribute(call.node, 'keepdims', 1) !== 0;
  const axes = foldedAxes(call);
  return isKept || axes.length === 0 || value.shape.length === 0
    ? value
    : call.g.unsqueeze(value, axes);
}

/** How many elements of the input one element of the output was made from. */
function foldedCount(call: GradientCall): number {
  const shape = staticShape(call.input(0).shape, call.node.name);
  return foldedAxes(call).reduce((count, axis) => count * (shape[axis] ?? 1), 1);
}

/**
 * Y is the least or greatest: dX = dY * [X = Y] / (number of X = Y), so ties share the gradient.
 */
const extremeRule: GradientRule = (call) => [
  () => {
    const { g, y, input } = call;
    const isExtreme = g.cast(g.equal(input(0), withFoldedAxes(call, y)), 'float32');
    const ties = g.reduceSum(isExtreme, { axes: foldedAxes(call), keepsAxes: true });
    return times(g, g.div(withFoldedAxes(call, call.dy), ties), isExtreme);
  },
];

const isIndex = notDifferentiable('its output is an index');

/**
 * The least float32 with all its digits: X / max(Y, it) is 0 where Y = 0, since X is 0 there, too.
 */
const LEAST_NORMAL = 2 ** -126;

/** Gradient rules of reductions; ties for the greatest or least share the gradient. */
export const REDUCTION_RULES = {
  // Y = sum(X): dX = dY, broadcast back
  ReduceSum: (call) => [() => withFoldedAxes(call, call.dy), undefined],

  // Y = sum(X) / n: dX = dY / n, broadcast back
  ReduceMean: (call) => [
    () => withFoldedAxes(call, times(call.g, call.dy, call.g.scalar(1 / foldedCount(call)))),
  ],

  ReduceMax: extremeRule,
  ReduceMin: extremeRule,

  ReduceProd: notDifferentiable('the gradient of a product divides by its factors, which may be 0'),

  // Y = sum |X|: dX = dY * sign(X)
  ReduceL1: unary((call) =>
    times(call.g, withFoldedAxes(call, call.dy), call.g.sign(call.input(0))),
  ),

  // Y = sqrt(sum X^2): dX = dY / Y * X, 0 where Y = 0
  ReduceL2: unary((call) => {
    const { g, y, dy, input } = call;
    const scale = g.div(dy, g.max(y, g.scalar(LEAST_NORMAL)));
    return g.mul(input(0), withFoldedAxes(call, scale));
  }),

  // Y = sum X^2: dX = 2 dY * X
  ReduceSumSquare: unary((call) => {
    const { g, dy, input } = call;
    return g.mul(input(0), withFoldedAxes(call, times(g, dy, g.scalar(2))));
  }),

  // Y = log sum e^X: dX = dY * e^(X - Y)
  ReduceLogSumExp: unary((call) => {
    const { g, y, dy, input } = call;
    const shares = g.exp(g.sub(input(0), withFoldedAxes(call, y)));
    return times(g, withFoldedAxes(call, dy), shares);
  }),

  ArgMax: isIndex,
  ArgMin: isIndex,
} as const satisfies Readonly<Record<string, GradientRule | NotDifferentiable>>;
