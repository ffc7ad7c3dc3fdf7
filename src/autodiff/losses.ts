/**
 * Losses as sums over samples with a weight each, drawn so that their gradients come out small.
 *
 * A weight is multiplied in before any sum: a sample of weight 0 adds exactly zero to the loss and
 * to every gradient, whatever finite numbers the model makes of it.
 */
import type { GraphBuilder } from '../graph/builder.ts';
import type { ValueInfo } from '../graph/values/types.ts';

/** How a cross entropy departs from the plain one. */
export interface CrossEntropyOptions {
  /**
   * The part of the target that is spread evenly over all classes, 0 <= part < 1; 0 when absent.
   */
  readonly labelSmoothing?: number;
}

/**
 * -sum over samples of weight * log softmax(logits)[label]; with label smoothing e, of (1 - e)
 * times that and e times its mean over all classes. A label outside 0 .. classes - 1 means that the
 * sample is ignored.
 *
 * The label's logarithm is gathered, not multiplied out of a one-hot
 * matrix: with 65 classes a third of the time, with 50,257 half (forward
 * and gradient; one core of an AMD EPYC, onnxruntime-node 1.30).
 *
 * Shapes: logits [B, classes], labels [B] int32, weights [B] -> [] float32.
 * Source: Szegedy et al. 2016 for the smoothing, defined as in PyTorch.
 */
export function crossEntropySum(
  g: GraphBuilder,
  logits: ValueInfo,
  labels: ValueInfo,
  weights: ValueInfo,
  { labelSmoothing = 0 }: CrossEntropyOptions = {},
): ValueInfo {
  const lastClass = Number(logits.shape[1]) - 1;
  const [first, last] = [0, lastClass].map((label) => g.constant('int32', [], [label]));
  const index = g.apply('Clip', [labels, first, last]); // [B]
  const counted = g.where(g.equal(labels, index), weights, g.scalar(0)); // [B]
  const logarithms = g.logSoftmax(logits); // [B, classes]
  const picked = g.gatherElements(logarithms, g.unsqueeze(index, [1]), 1); // [B, 1]
  const minusWeights = g.unsqueeze(g.neg(counted), [1]); // [B, 1]
  if (labelSmoothing === 0) return g.reduceSum(g.mul(picked, minusWeights));
  const mean = g.reduceMean(logarithms, { axes: [1], keepsAxes: true }); // [B, 1]
  const parts = [
    g.mul(picked, g.scalar(1 - labelSmoothing)),
    g.mul(mean, g.scalar(labelSmoothing)),
  ] as const;
  return g.reduceSum(g.mul(g.add(...parts), minusWeights));
}

/**
 * Sum over samples of weight * mean over outputs of (prediction - target)^2.
 *
 * Shapes: predictions and targets [B, outputs], weights [B] -> [] float32.
 */
export function squaredErrorSum(
  g: GraphBuilder,
  predictions: ValueInfo,
  targets: ValueInfo,
  weights: ValueInfo,
): ValueInfo {
  const difference = g.sub(predictions, targets); // [B, outputs]
  const scale = scalePerOutput(g, predictions, weights); // [B, 1]
  // Scaled before it is squared: the square of a padding sample's difference could overflow, and 0
  // * Infinity is NaN.
  return g.reduceSum(g.mul(g.mul(difference, scale), difference));
}

/**
 * Sum of the weights of samples whose greatest logit is at their label; ties go to lower classes.
 *
 * Shapes: logits [B, classes], labels [B] int32, weights [B] -> [] float32.
 */
export function correctSum(
  g: GraphBuilder,
  logits: ValueInfo,
  labels: ValueInfo,
  weights: ValueInfo,
): ValueInfo {
  const isCorrect = g.equal(g.cast(g.argMax(logits), 'int32'), labels); // [B]
  return g.reduceSum(g.where(isCorrect, weights, g.scalar(0)));
}

/**
 * Sum over samples of weight * mean over outputs of the cross-entropy of sigmoid(logit) with a
 * target of 0 to 1.
 *
 * Shapes: logits and targets [B, outputs], weights [B] -> [] float32.
 */
export function binaryCrossEntropySum(
  g: GraphBuilder,
  logits: ValueInfo,
  targets: ValueInfo,
  weights: ValueInfo,
): ValueInfo {
  const scale = scalePerOutput(g, logits, weights); // [B, 1]
  // log(1 + e^x) - x y, which Softplus computes without an exponential of a large number.
  const whole = g.mul(g.apply('Softplus', [logits]), scale);
  return g.reduceSum(g.sub(whole, g.mul(logits, g.mul(targets, scale))));
}

/**
 * Sum over samples of weight * share of outputs that are on the target's side: above `threshold`
 * where it is above one half.
 *
 * Shapes: predictions and targets [B, outputs], weights [B] -> [] float32.
 */
export function correctBinarySum(
  g: GraphBuilder,
  predictions: ValueInfo,
  targets: ValueInfo,
  weights: ValueInfo,
  threshold: number,
): ValueInfo {
  const scale = scalePerOutput(g, predictions, weights); // [B, 1]
  const isAbove = g.greater(predictions, g.scalar(threshold));
  const isSame = g.equal(isAbove, g.greater(targets, g.scalar(0.5))); // [B, outputs]
  return g.reduceSum(g.where(isSame, scale, g.scalar(0)));
}

/** weight / outputs for each sample, [B, 1]. */
function scalePerOutput(g: GraphBuilder, predictions: ValueInfo, weights: ValueInfo): ValueInfo {
  return g.mul(g.unsqueeze(weights, [1]), g.scalar(1 / Number(predictions.shape[1])));
}
