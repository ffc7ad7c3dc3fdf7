/** Mean and variance of a micro-batch per channel: what BatchNorm normalises with in training. */
import type { GraphBuilder } from '../graph/builder.ts';
import type { ValueInfo } from '../graph/values/types.ts';
import { axesFrom } from './conv-patches.ts';
import { product } from './conv-signature.ts';
import { staticShape } from './gradient-rule.ts';

/** What BatchNorm needs to know of a micro-batch, per channel. */
export interface BatchStatistics {
  /** Mean [C] float32 over the samples, each by its weight, and all positions. */
  readonly mean: ValueInfo;
  /** Mean squared distance [C] float32 from the mean, by which PyTorch normalises. */
  readonly variance: ValueInfo;
  /** The same [C] float32 divided by count - 1, which PyTorch's running variance observes. */
  readonly unbiasedVariance: ValueInfo;
}

/**
 * Statistics of x [B, C, ...] with sampleWeight [B].
 *
 * A sample of weight 0 does not enter, to the last bit, whatever finite numbers it holds; without
 * any sample mean and variance are 0. Gradients pass through mean and variance.
 */
export function drawBatchStatistics(
  g: GraphBuilder,
  x: ValueInfo,
  sampleWeight: ValueInfo,
): BatchStatistics {
  const shape = staticShape(x.shape, 'batch statistics');
  const [, , ...sizes] = shape;
  const positions = g.scalar(product(sizes));
  const count = g.mul(g.reduceSum(sampleWeight), positions); // []
  const isEmpty = g.cast(g.equal(count, g.scalar(0)), 'float32');
  const divisor = g.add(count, isEmpty);
  const total = (value: ValueInfo): ValueInfo => {
    const axes = axesFrom(2, sizes.length);
    const perSample = axes.length === 0 ? value : g.reduceSum(value, { axes }); // [B, C]
    return g.matMul(sampleWeight, perSample); // [C]
  };
  const mean = g.div(total(x), divisor);
  // Distances are squared: the difference of two large squares would lose the digits.
  const centred = centredBy(g, x, mean);
  const squares = total(g.mul(centred, centred));
  const lessOne = g.add(g.relu(g.sub(count, g.scalar(2))), g.scalar(1)); // count - 1, at least 1
  return { mean, variance: g.div(squares, divisor), unbiasedVariance: g.div(squares, lessOne) };
}

/**
 * x [B, C, ...] less the mean [C] of its channel. Always drawn alike, so that ONNX Runtime computes
 * it once for all uses.
 */
export function centredBy(g: GraphBuilder, x: ValueInfo, mean: ValueInfo): ValueInfo {
  return g.sub(x, perChannel(g, mean, x.shape.length));
}

/** A value per channel, [C], as it broadcasts against [B, C, ...] of this rank. */
export function perChannel(g: GraphBuilder, value: ValueInfo, rank: number): ValueInfo {
  return g.reshape(value, [-1, ...Array<number>(rank - 2).fill(1)]);
}
