/** Gradients of operators that move, select or repeat elements: the gradient moves back. */
import { GraphError } from '../base/errors.ts';
import { intAttribute, intsAttribute } from '../graph/operator.ts';
import type { GradientCall, GradientRule, NotDifferentiable } from './gradient-rule.ts';
import { notDifferentiable, staticShape, undoBroadcast } from './gradient-rule.ts';

/** dX = dY in the shape of X: elements keep their order. */
const reshapeBack: GradientRule = (call) => [
  () => call.g.reshape(call.fullDy(), staticShape(call.input(0).shape, call.node.name)),
  undefined,
];

function axisOf({ node }: GradientCall): number {
  return intAttribute(node, 'axis', 0);
}

export const SHAPE_RULES = {
  Reshape: reshapeBack,
  Flatten: reshapeBack,
  Unsqueeze: reshapeBack,
  Squeeze: reshapeBack,

  // Y[i] = X[perm(i)]: dX = dY by the inverse permutation
  Transpose: (call) => [
    () => {
      const rank = call.y.shape.length;
      const permutation = intsAttribute(call.node, 'perm') ?? call.y.shape.map((_, axis) => rank - 1 - axis);
      const inverse = permutation.map((_, axis) => permutation.indexOf(axis));
      return call.g.transpose(call.fullDy(), inverse);
    },
  ],

  // Y = X repeated: dX = dY summed over the repetitions
  Expand: ({ g, y, dy, input }) => [() => undoBroadcast(g, dy, y.shape, input(0).shape), undefined],

  ConstantOfShape: notDifferentiable('its output is a constant'),
  OneHot: notDifferentiable('its output jumps with its index'),

  // Y[i] = X[index(i)]: dX = zeros, plus dY at the indices
  GatherElements: (call) => [
    () => {
      const { g, input } = call;
      const zeros = g.expand(g.scalar(0), staticShape(input(0).shape, call.node.name));
      return g.scatterAdd(zeros, input(1), call.fullDy(), axisOf(call));
    },
    undefined,
  ],

  // Y = X + updates at the indices: dX = dY, dUpdates = dY at the indices
  ScatterElements: (call) => {
    if (call.node.attributes['reduction'] !== 'add') {
      throw new GraphError(
        `differentiating ScatterElements at ${call.node.name}: only the reduction add has a gradient here`,
        { operator: 'ScatterElements', node: call.node.name },
      );
    }
    return [
      () => call.dy,
      undefined,
      () => call.g.gatherElements(call.fullDy(), call.input(1), axisOf(call)),
    ];
  },
} as const satisfies Readonly<Record<string, GradientRule | NotDifferentiable>>;
