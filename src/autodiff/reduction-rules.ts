/** Gradients of sums, means, maxima and of the softmax family. */
import type { GraphBuilder } from '../graph/builder.ts';
import { intAttribute, intsAttribute } from '../graph/operator.ts';
import { normalizeAxis } from '../graph/shape.ts';
import type { ValueInfo } from '../graph/types.ts';
import type { GradientCall, GradientRule, NotDifferentiable } from './gradient-rule.ts';
import { notDifferentiable, staticShape, times } from './gradient-rule.ts';

/** Axes that a reduction folds, from its attribute or its constant second input. */
function foldedAxes({ g, node, input }: GradientCall): readonly number[] {
  const rank = input(0).shape.length;
  const fromInput = node.inputs[1] ? g.constantOf(input(1)) : undefined;
  const axes = fromInput ? Array.from(fromInput, Number) : (intsAttribute(node, 'axes') ?? []);
  const everything = axes.length === 0 && intAttribute(node, 'noop_with_empty_axes', 0) === 0;
  if (everything) return input(0).shape.map((_, axis) => axis);
  return axes.map((axis) => normalizeAxis(axis, rank) ?? axis).sort((a, b) => a - b);
}

/** A reduced value with its folded axes back as size 1, so that it broadcasts against the input. */
function withFoldedAxes(call: GradientCall, value: ValueInfo): ValueInfo {
  const isKept = intAttribute(call.node, 'keepdims', 1) !== 0;
  const axes = foldedAxes(call);
  return isKept || axes.length === 0 || value.shape.length === 0 ? value : call.g.unsqueeze(value, axes);
}

/** How many elements of the input one element of the output was made from. */
function foldedCount(call: GradientCall): number {
  const shape = staticShape(call.input(0).shape, call.node.name);
  return foldedAxes(call).reduce((count, axis) => count * (shape[axis] ?? 1), 1);
}

function sumOver(g: GraphBuilder, value: ValueInfo, axis: number): ValueInfo {
  return g.reduceSum(value, { axes: [axis], keepsAxes: true });
}

/** The axis of Softmax and LogSoftmax; the last when absent. */
function normalizedAxis({ node }: GradientCall): number {
  return intAttribute(node, 'axis', -1);
}

export const REDUCTION_RULES = {
  // Y = sum(X): dX = dY, broadcast back
  ReduceSum: (call) => [() => withFoldedAxes(call, call.dy), undefined],

  // Y = sum(X) / n: dX = dY / n, broadcast back
  ReduceMean: (call) => [
    () => withFoldedAxes(call, times(call.g, call.dy, call.g.scalar(1 / foldedCount(call)))),
  ],

  // dX = dY * [X = Y] / (number of X = Y): ties share the gradient
  ReduceMax: (call) => [
    () => {
      const { g, y, input } = call;
      const isGreatest = g.cast(g.equal(input(0), withFoldedAxes(call, y)), 'float32');
      const ties = g.reduceSum(isGreatest, { axes: foldedAxes(call), keepsAxes: true });
      return times(g, g.div(withFoldedAxes(call, call.dy), ties), isGreatest);
    },
  ],

  ArgMax: notDifferentiable('its output is an index'),

  // dX = Y * (dY - sum(dY * Y))
  Softmax: (call) => [
    () => {
      const { g, y, dy } = call;
      const inner = sumOver(g, times(g, dy, y), normalizedAxis(call));
      return g.mul(y, g.sub(dy, inner));
    },
  ],

  // dX = dY - exp(Y) * sum(dY)
  LogSoftmax: (call) => [
    () => {
      const { g, y } = call;
      const dy = call.fullDy();
      return g.sub(dy, g.mul(g.exp(y), sumOver(g, dy, normalizedAxis(call))));
    },
  ],
} as const satisfies Readonly<Record<string, GradientRule | NotDifferentiable>>;
