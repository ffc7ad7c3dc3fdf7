/** Gradients of the softmax family and of normalisations within a sample. */
import { GraphError } from '../base/errors.ts';
import type { GraphBuilder } from '../graph/builder.ts';
import { numberAttribute } from '../graph/operators/operator.ts';
import { normalizeAxis, staticElementCount } from '../graph/values/shape.ts';
import type { GraphNode } from '../graph/types.ts';
import type { ValueInfo } from '../graph/values/types.ts';
import { staticShape, sumOverAxes, times, unary, undoBroadcast } from './gradient-rule.ts';
import type { GradientCall, GradientRule } from './gradient-rule.ts';

function sumOver(g: GraphBuilder, value: ValueInfo, axis: number): ValueInfo {
  return g.reduceSum(value, { axes: [axis], keepsAxes: true });
}

/**
 * A LayerNormalization that also puts out its statistics: what its gradient is made from. Other
 * nodes stay as they are.
 */
export function withStatistics(node: GraphNode): GraphNode {
  if (node.operator !== 'LayerNormalization') return node;
  const [y = '', mean, inverse] = node.outputs;
  return { ...node, outputs: [y, mean || `${y}.mean`, inverse || `${y}.inverse`] };
}

/** Mean and 1 / sqrt(variance + epsilon) of each of `n` groups, as rows [1, N]. */
function statisticsOf(
  { g, node, dys }: GradientCall,
  n: number,
): { mean: ValueInfo; inverse: ValueInfo } {
  if (dys.slice(1).some((dy) => dy !== undefined)) {
    throw new GraphError(
      `differentiating LayerNormalization at ${node.name}: the loss depends on its mean or ` +
        'deviation, expected only on Y',
      { operator: node.operator, node: node.name },
    );
  }
  const [mean = '', inverse = ''] = node.outputs.slice(1);
  return { mean: g.reshape(g.value(mean), [1, n]), inverse: g.reshape(g.value(inverse), [1, n]) };
}

/** The axis of Softmax and LogSoftmax; the last when absent. */
function normalizedAxis({ node }: GradientCall): number {
  return numberAttribute(node, 'axis', -1);
}

/**
 * Y = (X - m) r S + B, with mean m and r = 1 / sqrt(variance + epsilon) of each of N groups of D
 * elements:
 *   dX = dY S r + X c1 + c0
 *     with c1 = -r^3 (sum(dY S X) - m sum(dY S)) / D
 *     and  c0 = -m c1 - r sum(dY S) / D
 *   dS = sum over groups of dY (X - m) r
 *   dB = sum over groups of dY
 * All sums are products with a row vector, on the left, which is the fast side; the rest of dX is
 * as few passes over [N, D] as there can be.
 * Source: the form in which PyTorch's CPU kernel has it.
 */
const layerNormalizationRule: GradientRule = (call) => {
  const { g, node, input } = call;
  const shape = staticShape(input(0).shape, node.name);
  const axis = normalizeAxis(numberAttribute(node, 'axis', -1), shape.length) ?? 0;
  const group = shape.slice(axis);
  const [n, d] = [staticElementCount(shape.slice(0, axis)), staticElementCount(group)];
  const { mean: m, inverse: r } = statisticsOf(call, n); // [1, N]
  const x = g.reshape(input(0), [n, d]);
  const dy = g.reshape(call.fullDy(), [n, d]);
  const product = g.mul(dy, x);
  const fit = (gradient: ValueInfo, index: number): ValueInfo =>
    undoBroadcast(g, g.reshape(gradient, group), group, input(index).shape);
  return [
    () => {
      const scale = g.reshape(g.expand(input(1), group), [1, d]);
      const sumOfRows = (rows: ValueInfo): ValueInfo =>
        g.gemm(scale, rows, undefined, { transB: true });
      const [withX, plain] = [sumOfRows(product), sumOfRows(dy)]; // [1, N]
      const cube = g.mul(g.mul(r, r), g.mul(r, g.scalar(-1 / d)));
      const c1 = g.mul(cube, g.sub(withX, g.mul(m, plain)));
      const minusC0 = g.add(g.mul(m, c1), g.mul(plain, g.mul(r, g.scalar(1 / d))));
      const perGroup = (row: ValueInfo): ValueInfo => g.reshape(row, [n, 1]);
      const direct = g.mul(g.mul(dy, scale), perGroup(r)); // [N, D]
      const rest = g.sub(g.mul(x, perGroup(c1)), perGroup(minusC0)); // [N, D]
      return g.reshape(g.add(direct, rest), shape);
    },
    () => fit(g.sub(g.matMul(r, product), g.matMul(g.mul(m, r), dy)), 1),
    () => fit(sumOverAxes(g, dy, [0]), 2),
  ];
};

/**
 * Y = n S + B, n = (X - m) r, with mean m and r = 1 / sqrt(variance + epsilon) of each of the rows
 * of samples and channels:
 *   dX = r S (dY - mean(dY) - n mean(dY n))
 *   dS = sum over samples and elements of dY n
 *   dB = sum over samples and elements of dY
 */
const instanceNormalizationRule: GradientRule = (call) => {
  const { g, node, input } = call;
  const shape = staticShape(input(0).shape, node.name);
  const [batch = 1, channels = 1] = shape;
  const rows = batch * channels;
  const asRows = (value: ValueInfo): ValueInfo => g.reshape(value, [rows, -1]);
  const mean = (value: ValueInfo): ValueInfo => g.reduceMean(value, { axes: [1], keepsAxes: true });
  const perChannel = (value: ValueInfo): ValueInfo =>
    sumOverAxes(g, g.reshape(g.reduceSum(value, { axes: [1] }), [batch, channels]), [0]);
  const [x, dy] = [asRows(input(0)), asRows(call.fullDy())]; // [B C, S]
  const centred = g.sub(x, mean(x));
  const variance = mean(g.mul(centred, centred)); // [B C, 1]
  const epsilon = g.scalar(numberAttribute(node, 'epsilon', 1e-5));
  const inverse = g.apply('Reciprocal', [g.sqrt(g.add(variance, epsilon))]); // [B C, 1]
  const normalized = g.mul(centred, inverse);
  const product = g.mul(dy, normalized);
  return [
    () => {
      const factors = g.mul(g.reshape(inverse, [batch, channels]), input(1)); // [B, C]
      const rest = g.sub(g.sub(dy, mean(dy)), g.mul(normalized, mean(product)));
      return g.reshape(g.mul(rest, g.reshape(factors, [rows, 1])), shape);
    },
    () => perChannel(product),
    () => perChannel(dy),
  ];
};

/** Gradient rules of the softmax family and of normalisations within a sample. */
export const NORMALIZATION_RULES = {
  // dX = Y * (dY - sum(dY * Y))
  Softmax: unary((call) => {
    const { g, y, dy } = call;
    const inner = sumOver(g, times(g, dy, y), normalizedAxis(call));
    return g.mul(y, g.sub(dy, inner));
  }),

  // dX = dY - exp(Y) * sum(dY)
  LogSoftmax: unary((call) => {
    const { g, y, dy } = call;
    const axis = normalizeAxis(normalizedAxis(call), y.shape.length) ?? 0;
    const isRepeated = dy.shape.length === y.shape.length && dy.shape[axis] === 1;
    const total = isRepeated
      ? times(g, dy, g.scalar(staticShape(y.shape, call.node.name)[axis] ?? 1))
      : sumOver(g, call.fullDy(), axis);
    return g.sub(dy, g.mul(g.exp(y), total));
  }),

  LayerNormalization: layerNormalizationRule,
  InstanceNormalization: instanceNormalizationRule,
} as const satisfies Readonly<Record<string, GradientRule>>;
