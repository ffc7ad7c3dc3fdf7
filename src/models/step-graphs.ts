/** From a model to the graphs that run: training step, evaluation, inference. */
import { differentiateGraph } from '../autodiff/differentiate.ts';
import { ShapeError } from '../base/errors.ts';
import { GraphBuilder } from '../graph/builder.ts';
import type { Graph, ValueInfo } from '../graph/types.ts';
import { correctSum, crossEntropySum, squaredErrorSum } from '../autodiff/losses.ts';
import { outputSizeOf, type Model } from './model.ts';

export interface StepGraphs {
  readonly train: Graph;
  readonly evaluate: Graph;
}

/**
 * The graphs of one micro-batch of B samples.
 *
 * Inputs:  every parameter by its name; `x` [B, ...features]; `y` int32 [B] (classification) or float32 [B, outputs];
 *          `sampleWeight` float32 [B], 0 for padding.
 * Outputs: `loss` [], the sum over samples of weight * loss; `correct` [] (classification), the sum of the weights of
 *          the samples classified right; in `train` also `gradient.<parameter>` of `loss`, in the parameters' order.
 */
export function makeStepGraphs(model: Model, microBatch: number): StepGraphs {
  const evaluate = makeLossGraph(model, microBatch);
  const names = model.parameters.map(({ name }) => name);
  return { evaluate, train: differentiateGraph(evaluate, 'loss', names) };
}

function makeLossGraph(model: Model, microBatch: number): Graph {
  const g = new GraphBuilder(model.name);
  for (const { name, shape } of model.parameters) g.input(name, 'float32', shape);
  const x = g.input('x', 'float32', [microBatch, ...model.features]);
  const isClassifier = model.target.kind === 'classification';
  const y = isClassifier
    ? g.input('y', 'int32', [microBatch])
    : g.input('y', 'float32', [microBatch, outputSizeOf(model)]);
  const weights = g.input('sampleWeight', 'float32', [microBatch]);
  const prediction = model.forward(g, x, (name) => g.value(name));
  g.within('loss', () => {
    const loss = isClassifier ? crossEntropySum : squaredErrorSum;
    g.output('loss', loss(g, prediction, y, weights));
  });
  if (isClassifier) g.within('correct', () => g.output('correct', correctSum(g, prediction, y, weights)));
  return g.build();
}

/**
 * The model as its user runs it: parameters inside, `input` [batch, ...features] ->
 * `logits` [batch, classes] or `prediction` [batch, outputs], for any batch.
 *
 * Throws: ShapeError when a parameter is missing or has another number of elements.
 */
export function makeInferenceGraph(model: Model, parameters: ReadonlyMap<string, Float32Array>): Graph {
  const g = new GraphBuilder(model.name);
  for (const { name, shape } of model.parameters) {
    const data = parameters.get(name);
    if (data === undefined)
      throw new ShapeError(`inference graph: no values for parameter ${name}`, { name });
    g.initializer(name, 'float32', shape, data);
  }
  const input = g.input('input', 'float32', ['batch', ...model.features]);
  const result: ValueInfo = model.forward(g, input, (name) => g.value(name));
  g.output(model.target.kind === 'classification' ? 'logits' : 'prediction', result);
  return g.build();
}
