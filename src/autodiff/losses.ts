/**
 * Losses as sums over samples with a weight each, drawn so that their gradients come out small.
 *
 * A weight is multiplied in before any sum: a sample of weight 0 adds exactly zero to the loss and to every
 * gradient, whatever finite numbers the model makes of it.
 */
import type { GraphBuilder } from '../graph/builder.ts';
import type { ValueInfo } from '../graph/types.ts';

/**
 * -sum over samples of weight * log softmax(logits)[label].
 *
 * Shapes: logits [B, classes], labels [B] int32, weights [B] -> [] float32.
 */
export function crossEntropySum(
  g: GraphBuilder,
  logits: ValueInfo,
  labels: ValueInfo,
  weights: ValueInfo,
): ValueInfo {
  const classes = Number(logits.shape[1]);
  // -weight at the label, 0 elsewhere: the loss is a plain sum of products with it, and so is its gradient.
  const picked = g.mul(g.oneHot(labels, classes, -1), g.unsqueeze(weights, [1])); // [B, classes]
  return g.reduceSum(g.mul(g.logSoftmax(logits), picked));
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
  const outputs = Number(predictions.shape[1]);
  const difference = g.sub(predictions, targets); // [B, outputs]
  const scale = g.mul(g.unsqueeze(weights, [1]), g.scalar(1 / outputs)); // [B, 1]
  // Scaled before it is squared: the square of a padding sample's difference could overflow, and 0 * Infinity is NaN.
  return g.reduceSum(g.mul(g.mul(difference, scale), difference));
}

/**
 * Sum of the weights of the samples whose greatest logit is at their label; ties go to the lower class.
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
 * Sum over samples of weight * mean over outputs of the cross-entropy of sigmoid(logit) with a target of 0 to 1.
 *
 * Shapes: logits and targets [B, outputs], weights [B] -> [] float32.
 */
export function binaryCrossEntropySum(
  g: GraphBuilder,
  logits: ValueInfo,
  targets: ValueInfo,
  weights: ValueInfo,
): ValueInfo {
  const outputs = Number(logits.shape[1]);
  const scale = g.mul(g.unsqueeze(weights, [1]), g.scalar(1 / outputs)); // [B, 1]
  // max(x, 0) - x * y + log(1 + e^-|x|): no exponential of a large number.
  const positive = g.relu(logits);
  const magnitude = g.add(positive, g.relu(g.neg(logits)));
  const tail = g.log(g.add(g.exp(g.neg(magnitude)), g.scalar(1)));
  const loss = g.add(g.sub(positive, g.mul(logits, targets)), tail); // [B, outputs]
  return g.reduceSum(g.mul(loss, scale));
}

/**
 * Sum over samples of weight * share of outputs whose sign says what the target says (above one half).
 *
 * Shapes: logits and targets [B, outputs], weights [B] -> [] float32.
 */
export function correctBinarySum(
  g: GraphBuilder,
  logits: ValueInfo,
  targets: ValueInfo,
  weights: ValueInfo,
): ValueInfo {
  const outputs = Number(logits.shape[1]);
  const scale = g.mul(g.unsqueeze(weights, [1]), g.scalar(1 / outputs)); // [B, 1]
  const said = g.cast(g.greater(logits, g.scalar(0)), 'int32');
  const wanted = g.cast(g.greater(targets, g.scalar(0.5)), 'int32');
  return g.reduceSum(g.mul(g.cast(g.equal(said, wanted), 'float32'), scale));
}
