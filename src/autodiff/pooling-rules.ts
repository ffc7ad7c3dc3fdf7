/** Gradients of pooling: to the greatest element of a window, or evenly to all. */
import { GraphError } from '../base/errors.ts';
import type { GraphBuilder } from '../graph/builder.ts';
import { numberAttribute, intsAttribute } from '../graph/operators/operator.ts';
import type { GraphNode } from '../graph/types.ts';
import type { ValueInfo } from '../graph/values/types.ts';
import { windowOf, windowSpan, type Window } from '../graph/operators/window.ts';
import { callOf, product } from './conv-signature.ts';
import { notDifferentiable, staticShape, times } from './gradient-rule.ts';
import { drawPairPooling, isPairPooling, unpoolPairs } from './pair-pooling.ts';
import type { GradientCall, GradientRule, NotDifferentiable } from './gradient-rule.ts';

/**
 * The name of the output of a MaxPool that says where each maximum was: what its gradient needs.
 */
function indicesOf(node: GraphNode): string {
  return node.outputs[1] ?? `${node.outputs[0] ?? ''}.indices`;
}

/** Draws a MaxPool so that its gradient can be drawn; gives false for any other node. */
export function drawPooling(g: GraphBuilder, node: GraphNode): boolean {
  const [y] = node.outputs;
  if (node.operator !== 'MaxPool' || y === undefined) return false;
  if (!drawPairPooling(g, node)) g.append({ ...node, outputs: [y, indicesOf(node)] });
  return true;
}

/** The input's shape as numbers, and the window that went over it. */
function pooled(call: GradientCall): { shape: readonly number[]; window: Window } {
  const shape = staticShape(call.input(0).shape, call.node.name);
  const kernel = intsAttribute(call.node, 'kernel_shape') ?? [];
  return { shape, window: windowOf(callOf(call.g, call.node), kernel, shape.slice(2)) };
}

/**
 * dX = dY at the places of the maxima, 0 elsewhere; where windows overlap, what arrives is added.
 */
function unpool(call: GradientCall): ValueInfo {
  const { g, node, y } = call;
  if (isPairPooling(g, node)) return unpoolPairs(g, node, y, call.fullDy());
  const { shape, window } = pooled(call);
  const indices = g.value(indicesOf(node));
  const overlaps = window.strides.some((stride, axis) => stride < windowSpan(window, axis));
  if (!overlaps) return g.maxUnpool(call.fullDy(), indices, shape, window.kernel);
  const zeros = g.expand(g.scalar(0), [product(shape)]);
  const sum = g.scatterAdd(zeros, g.reshape(indices, [-1]), g.reshape(call.fullDy(), [-1]), 0);
  return g.reshape(sum, shape);
}

/**
 * dX = the sum of dY / count over the windows that an element is in: a transposed convolution of
 * each channel with ones.
 */
function spread(call: GradientCall): ValueInfo {
  const { g, y } = call;
  const { shape, window } = pooled(call);
  const [batch = 1, channels = 1, ...sizes] = shape;
  const counts = staticShape(y.shape, call.node.name).slice(2);
  const share = g.mul(call.fullDy(), elementShares(call, window, sizes, counts));
  const ones = g.constant(
    'float32',
    [1, 1, ...window.kernel],
    Array(product(window.kernel)).fill(1),
  );
  const surplus = sizes.map((size, axis) => {
    const reached =
      ((counts[axis] ?? 1) - 1) * (window.strides[axis] ?? 1) + windowSpan(window, axis);
    return size + (window.padsBegin[axis] ?? 0) - reached;
  });
  const sum = g.convTranspose(g.reshape(share, [batch * channels, 1, ...counts]), ones, undefined, {
    strides: window.strides,
    pads: [...window.padsBegin, ...surplus.map((count) => Math.max(0, -count))],
    outputPadding: surplus.map((count) => Math.max(0, count)),
  });
  return g.reshape(sum, shape);
}

/** 1 / (elements of each window, all or only those inside the input), [1, 1, ...counts]. */
function elementShares(
  { g, node }: GradientCall,
  window: Window,
  sizes: readonly number[],
  counts: readonly number[],
): ValueInfo {
  const countsPadding = numberAttribute(node, 'count_include_pad', 0) !== 0;
  if (countsPadding && numberAttribute(node, 'ceil_mode', 0) !== 0) {
    throw new GraphError(
      `differentiating AveragePool at ${node.name}: ceil_mode with count_include_pad is not ` +
        'supported, since runtimes divide differently. Export it with ceil_mode 0.',
      { operator: 'AveragePool', node: node.name },
    );
  }
  if (countsPadding) return g.scalar(1 / product(window.kernel));
  const perAxis = sizes.map((size, axis) =>
    Array.from({ length: counts[axis] ?? 1 }, (_, index) =>
      elementsInside(window, axis, size, index),
    ),
  );
  const elements = perAxis.reduce(
    (heads, own) => heads.flatMap((head) => own.map((count) => head * count)),
    [1],
  );
  return g.constant(
    'float32',
    [1, 1, ...counts],
    elements.map((count) => 1 / count),
  );
}

/** How many elements of window `index` lie inside the input, along one axis. */
function elementsInside(window: Window, axis: number, size: number, index: number): number {
  const start = index * (window.strides[axis] ?? 1) - (window.padsBegin[axis] ?? 0);
  return Math.min(start + windowSpan(window, axis), size) - Math.max(start, 0);
}

/** The first greatest element of each channel gets dY. */
function toGreatest(g: GraphBuilder, x: ValueInfo, dy: ValueInfo, node: GraphNode): ValueInfo {
  const shape = staticShape(x.shape, node.name);
  const [batch = 1, channels = 1, ...sizes] = shape;
  const flat = g.reshape(x, [batch, channels, product(sizes)]);
  const place = g.oneHot(g.argMax(flat), product(sizes)); // [B, C, S]
  return g.reshape(g.mul(place, g.reshape(dy, [batch, channels, 1])), shape);
}

/** Gradient rules of pooling over windows and over whole images. */
export const POOLING_RULES = {
  MaxPool: (call) => [() => unpool(call)],
  MaxUnpool: notDifferentiable('it is the gradient of MaxPool, and has none here itself'),
  AveragePool: (call) => [() => spread(call)],

  // Y = mean(X) over the spatial axes: dX = dY / count, broadcast
  GlobalAveragePool: (call) => {
    const count = product(staticShape(call.input(0).shape, call.node.name).slice(2));
    return [() => times(call.g, call.dy, call.g.scalar(1 / count))];
  },
  GlobalMaxPool: (call) => [() => toGreatest(call.g, call.input(0), call.fullDy(), call.node)],
} as const satisfies Readonly<Record<string, GradientRule | NotDifferentiable>>;
