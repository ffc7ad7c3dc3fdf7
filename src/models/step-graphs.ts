/** From a model to the graphs that run: training step, evaluation, inference. */
import {
  differentiateGraph,
  gradientName,
  type DifferentiateOptions,
} from '../autodiff/differentiate.ts';
import { ShapeError } from '../base/errors.ts';
import { GraphBuilder } from '../graph/builder.ts';
import type { Graph, GraphFile } from '../graph/types.ts';
import type { ValueInfo } from '../graph/values/types.ts';
import type { Model, ParameterSpec, TrainingPass } from './model.ts';
import { drawObjective, targetTypeOf, type ObjectiveOptions } from './objective.ts';

/** A random input of the training step, drawn for each micro-batch; see `TrainingPass.mask`. */
interface MaskSpec {
  readonly name: string;
  readonly shape: readonly number[];
  /** Probability of 0. */
  readonly rate: number;
}

/** The graphs that workers run for one micro-batch, and their random inputs. */
export interface StepGraphs {
  readonly train: Graph;
  readonly evaluate: Graph;
  readonly masks: readonly MaskSpec[];
}

/** How the graphs of a step are drawn. */
export interface StepOptions extends DifferentiateOptions {
  /** The loss; the usual one of the target when absent. */
  readonly objective?: ObjectiveOptions;
}

/**
 * The graphs of one micro-batch of B samples.
 *
 * Inputs:  every parameter by its name; `x` [B, ...features], float32 or (tokens) int32; `y` as
 *          `targetTypeOf`; `sampleWeight` float32 [B], 0 for padding; in `train` also the masks.
 * Outputs: `loss` [], the sum over samples of weight * loss; `correct` [] (not for a regression),
 *          the sum of the weights of the samples that are right; in `train` also one
 *          `gradient.<parameter>` for each parameter, of the loss or, for a running statistic, the
 *          sum of the weights times (statistic - observed).
 */
export function makeStepGraphs(
  model: Model,
  microBatch: number,
  options: StepOptions = {},
): StepGraphs {
  return {
    evaluate: makeEvaluateGraph(model, microBatch, options),
    ...makeTrainGraph(model, microBatch, options),
  };
}

/** Draws the evaluation of one micro-batch: loss and right answers, without dropout. */
export function makeEvaluateGraph(
  model: Model,
  microBatch: number,
  { objective = {} }: Pick<StepOptions, 'objective'> = {},
): Graph {
  const g = new GraphBuilder(model.name);
  const inputs = declareInputs(g, model, microBatch);
  drawLoss(g, model, inputs, undefined, objective);
  return g.build();
}

function makeTrainGraph(
  model: Model,
  microBatch: number,
  { objective = {}, ...options }: StepOptions,
): { train: Graph; masks: readonly MaskSpec[] } {
  const g = new GraphBuilder(model.name);
  const inputs = declareInputs(g, model, microBatch);
  const masks: MaskSpec[] = [];
  const observed = new Map<string, ValueInfo>();
  const training: TrainingPass = {
    sampleWeight: inputs.sampleWeight,
    observe: (name, value) => observed.set(name, value),
    mask(shape, rate) {
      const name = `mask.${masks.length}`;
      masks.push({ name, shape, rate });
      return g.input(name, 'float32', shape);
    },
  };
  drawLoss(g, model, inputs, training, objective);
  const statistics = model.parameters.filter(
    ({ statisticMomentum }) => statisticMomentum !== undefined,
  );
  g.within('statistics', () => {
    for (const { name } of statistics) {
      const value = observed.get(name);
      if (value === undefined)
        throw new ShapeError(`${model.name}: nothing observes the running statistic ${name}`, {
          name,
        });
      const total = g.reduceSum(inputs.sampleWeight);
      g.output(gradientName(name), g.mul(g.sub(g.value(name), value), total));
    }
  });
  const trained = model.parameters
    .filter((spec) => !statistics.includes(spec))
    .map(({ name }) => name);
  return { train: differentiateGraph(g.build(), 'loss', trained, options), masks };
}

interface StepInputs {
  readonly x: ValueInfo;
  readonly y: ValueInfo;
  readonly sampleWeight: ValueInfo;
}

function declareInputs(g: GraphBuilder, model: Model, microBatch: number): StepInputs {
  for (const { name, shape } of model.parameters) g.input(name, 'float32', shape);
  const target = targetTypeOf(model.target, microBatch);
  return {
    x: g.input('x', inputTypeOf(model), [microBatch, ...model.features]),
    y: g.input('y', target.type, target.shape),
    sampleWeight: g.input('sampleWeight', 'float32', [microBatch]),
  };
}

function inputTypeOf({ vocabulary }: Pick<Model, 'vocabulary'>): 'float32' | 'int32' {
  return vocabulary === undefined ? 'float32' : 'int32';
}

function drawLoss(
  g: GraphBuilder,
  model: Model,
  { x, y, sampleWeight }: StepInputs,
  training: TrainingPass | undefined,
  options: ObjectiveOptions,
): void {
  const parameter = ({ name }: ParameterSpec): ValueInfo => g.value(name);
  const prediction = model.forward({ g, parameter, ...(training && { training }) }, x);
  const { loss, correct } = g.within('objective', () =>
    drawObjective(g, model.target, prediction, y, sampleWeight, objectiveOf(model, options)),
  );
  g.output('loss', loss);
  if (correct !== undefined) g.output('correct', correct);
}

/** The objective that a model is trained with: `auto` may mean a loss of its own. */
export function objectiveOf(
  { usualLoss }: Pick<Model, 'usualLoss'>,
  options: ObjectiveOptions,
): ObjectiveOptions {
  const { loss = 'auto' } = options;
  return { ...options, loss: loss === 'auto' && usualLoss !== undefined ? usualLoss : loss };
}

/** Gives the model in a file for its user: as it came, if in one, else `makeInferenceGraph`. */
export function makeInferenceFile(
  model: Model,
  parameters: ReadonlyMap<string, Float32Array>,
): GraphFile {
  return model.inference?.(parameters) ?? makeInferenceGraph(model, parameters);
}

/**
 * The model as its user runs it: parameters inside, `input` [batch, ...features] -> `logits` or,
 * for a regression, `prediction`, for any batch.
 *
 * Throws: ShapeError when a parameter is missing or has another number of elements.
 */
export function makeInferenceGraph(
  model: Model,
  parameters: ReadonlyMap<string, Float32Array>,
): Graph {
  const g = new GraphBuilder(model.name);
  for (const { name, shape } of model.parameters) {
    const data = parameters.get(name);
    if (data === undefined)
      throw new ShapeError(`inference graph: no values for parameter ${name}`, { name });
    g.initializer(name, 'float32', shape, data);
  }
  const input = g.input('input', inputTypeOf(model), ['batch', ...model.features]);
  const result = model.forward({ g, parameter: ({ name }) => g.value(name) }, input);
  g.output(model.target.kind === 'regression' ? 'prediction' : 'logits', result);
  return g.build();
}
