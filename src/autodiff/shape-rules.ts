/** Gradients of operators that give elements another shape or repeat them: the way back. */
import { numberAttribute, intsAttribute } from '../graph/operators/operator.ts';
import type { GradientRule, NotDifferentiable } from './gradient-rule.ts';
import { notDifferentiable, staticShape, undoBroadcast } from './gradient-rule.ts';

/** dX = dY in the shape of X: elements keep their order. */
const reshapeBack: GradientRule = (call) => [
  () => call.g.reshape(call.fullDy(), staticShape(call.input(0).shape, call.node.name)),
  undefined,
];

/** Gradient rules of operators that move elements without changing them. */
export const SHAPE_RULES = {
  Reshape: reshapeBack,
  Flatten: reshapeBack,
  Unsqueeze: reshapeBack,
  Squeeze: reshapeBack,

  // Y[i] = X[perm(i)]: dX = dY by the inverse permutation
  Transpose: (call) => [
    () => {
      const rank = call.y.shape.length;
      const permutation =
        intsAttribute(call.node, 'perm') ?? call.y.shape.map((_, axis) => rank - 1 - axis);
      const inverse = permutation.map((_, axis) => permutation.indexOf(axis));
      return call.g.transpose(call.fullDy(), inverse);
    },
  ],

  // Y = X repeated: dX = dY summed over the repetitions
  Expand: ({ g, y, dy, input }) => [() => undoBroadcast(g, dy, y.shape, input(0).shape), undefined],

  // Y = X side by side with itself: dX = dY summed over the repetitions
  Tile: (call) => [
    () => {
      const { g, input } = call;
      const sizes = staticShape(input(0).shape, call.node.name);
      const repeats = staticShape(call.y.shape, call.node.name).map(
        (size, i) => size / (sizes[i] || 1),
      );
      const apart = g.reshape(
        call.fullDy(),
        sizes.flatMap((size, i) => [repeats[i] ?? 1, size]),
      );
      return g.reduceSum(apart, { axes: sizes.map((_, i) => 2 * i) });
    },
    undefined,
  ],

  // Y[i] = sum of X up to i: dX[i] = sum of dY from i on
  CumSum: (call) => [
    () => {
      const isReverse = numberAttribute(call.node, 'reverse', 0) !== 0;
      const attributes = { ...call.node.attributes, reverse: isReverse ? 0 : 1 };
      return call.g.apply('CumSum', [call.fullDy(), call.input(1)], attributes);
    },
    undefined,
  ],

  ConstantOfShape: notDifferentiable('its output is a constant'),
  Shape: notDifferentiable('its output is a shape'),
  Size: notDifferentiable('its output is a count'),
  Range: notDifferentiable('its output counts'),
} as const satisfies Readonly<Record<string, GradientRule | NotDifferentiable>>;
