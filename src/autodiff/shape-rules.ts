/** Gradients of operators that give elements another shape, place or number: the way back. */
import type { GraphBuilder } from '../graph/builder.ts';
import { numberAttribute, intsAttribute } from '../graph/operators/operator.ts';
import { resizedAxes, type ResizedAxis } from '../graph/operators/resampling.ts';
import { depthToSpaceOf } from '../graph/operators/shape-operators.ts';
import type { ValueInfo } from '../graph/values/types.ts';
import { callOf, product } from './conv-signature.ts';
import type { GradientRule, NotDifferentiable } from './gradient-rule.ts';
import { notDifferentiable, staticShape, undoBroadcast } from './gradient-rule.ts';

/** dX = dY in the shape of X: elements keep their order. */
const reshapeBack: GradientRule = (call) => [
  () => call.g.reshape(call.fullDy(), staticShape(call.input(0).shape, call.node.name)),
  undefined,
];

/** dX = dY by the inverse of the permutation that made pixels of channels. */
const depthToSpaceRule: GradientRule = (call) => [
  () => {
    const { g, node, input } = call;
    const { block: b, sizes, order } = depthToSpaceOf(callOf(g, node));
    const [batch = 1, channels = 1, height = 1, width = 1] = staticShape(sizes, node.name);
    const blocks = [batch, channels / b ** 2, height, b, width, b] as const;
    const apart = g.reshape(call.fullDy(), blocks); // [B, C, H, b, W, b]
    const permutation = order === 'DCR' ? [0, 3, 5, 1, 2, 4] : [0, 1, 3, 5, 2, 4];
    return g.reshape(g.transpose(apart, permutation), staticShape(input(0).shape, node.name));
  },
];

/** Y = W X along each axis that is resized: dX = W^T dY along each of them. */
const resizeRule: GradientRule = (call) => [
  () => {
    const { g, node } = call;
    const axes = resizedAxes(callOf(g, node));
    const blocks = blockSizes(axes, call.y.shape.length);
    if (blocks === undefined)
      return axes.reduce((dx, axis) => sampledBack(g, dx, axis, node.name), call.fullDy());
    // Whole blocks are copies of one element each: their sum is their mean times their size.
    const means = g.averagePool(call.fullDy(), { kernel: blocks, strides: blocks });
    return g.mul(means, g.scalar(blocks.reduce((a, b) => a * b, 1)));
  },
  undefined,
  undefined,
  undefined,
];

/**
 * For each spatial axis how often an element is repeated, if that is all, and ONNX Runtime can
 * pool that many axes.
 */
function blockSizes(axes: readonly ResizedAxis[], rank: number): readonly number[] | undefined {
  if (rank < 3 || rank > 5 || axes.some(({ axis }) => axis < 2)) return undefined;
  const sizes = Array<number>(rank - 2).fill(1);
  for (const { axis, from, to, samples } of axes) {
    const block = to / from;
    const isRepeated = samples.every(
      ([[index] = [-1], ...more], at) => more.length === 0 && index === Math.floor(at / block),
    );
    if (!Number.isInteger(block) || !isRepeated) return undefined;
    sizes[axis - 2] = block;
  }
  return sizes;
}

/** The gradient before one axis was resized, given that behind it. */
function sampledBack(
  g: GraphBuilder,
  dy: ValueInfo,
  { axis, from, to, samples }: ResizedAxis,
  where: string,
): ValueInfo {
  const shape = staticShape(dy.shape, where);
  const [before, behind] = [shape.slice(0, axis), shape.slice(axis + 1)];
  const isLast = behind.length === 0;
  const weights = Array<number>(from * to).fill(0); // [to, from] of the last axis, or [from, to]
  samples.forEach((row, at) => {
    for (const [index, weight] of row)
      weights[isLast ? at * from + index : index * to + at] = weight;
  });
  const matrix = g.constant('float32', isLast ? [to, from] : [from, to], weights);
  const parts = g.reshape(dy, [product(before), ...(isLast ? [to] : [to, product(behind)])]);
  const summed = isLast ? g.matMul(parts, matrix) : g.matMul(matrix, parts);
  return g.reshape(summed, [...before, from, ...behind]);
}

/** Gradient rules of operators that move, repeat or resample elements. */
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

  DepthToSpace: depthToSpaceRule,
  Resize: resizeRule,

  ConstantOfShape: notDifferentiable('its output is a constant'),
  Shape: notDifferentiable('its output is a shape'),
  Size: notDifferentiable('its output is a count'),
  Range: notDifferentiable('its output counts'),
} as const satisfies Readonly<Record<string, GradientRule | NotDifferentiable>>;
