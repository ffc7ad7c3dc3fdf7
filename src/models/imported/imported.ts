/** A network that somebody exported, as a model that trains: its weights begin as in the file. */
import { GraphError, LockstepError, ShapeError } from '../../base/errors.ts';
import { drawBatchStatistics } from '../../autodiff/batch-statistics.ts';
import type { GraphBuilder } from '../../graph/builder.ts';
import { numberAttribute } from '../../graph/operators/operator.ts';
import { type ReplayInputs, replayGraph } from '../../graph/replay.ts';
import { isStatic } from '../../graph/values/shape.ts';
import type { Graph, GraphFile, GraphNode } from '../../graph/types.ts';
import type { ValueInfo } from '../../graph/values/types.ts';
import { withAnyBatch } from './imported-batch.ts';
import { asInput, asPrediction, networkOf, sampleShapeOf, tableCheck } from './imported-fit.ts';
import { notesOnWeights } from './import-notes.ts';
import { type ImportedParameters, sortParameters } from './imported-parameters.ts';
import { type ImportedNetwork, probeNetwork } from './imported-probe.ts';
import type { ForwardPass, Model, ModelTask, TrainingPass } from '../model.ts';
import { lossOf, type LossName } from '../objective.ts';

/** A model with what became of the weights of its file. */
export interface ImportedModel extends Model {
  readonly sorted: ImportedParameters;
  /** What is worth knowing about its weights. */
  readonly notes: readonly string[];
  /** With the names of the file, for any batch. */
  readonly inference: (parameters: ReadonlyMap<string, Float32Array>) => GraphFile;
}

/** What the user says about a network from a file. */
export interface ImportOptions {
  /**
   * Patterns of whole names of weights that stay as they are: `*` is any characters, `?` is one.
   * None when absent.
   */
  readonly freeze?: readonly string[];
  /** The loss that the scores go into; the usual one of the target when absent. */
  readonly loss?: LossName;
  /** Whether all targets are 0 or 1. */
  readonly hasBinaryTargets?: boolean;
}

/** The batch of the first drawing: rarely a size that a network has for another reason. */
const PROBE_BATCH = 3;

/**
 * The network of an ONNX file as a model for a task.
 *
 * Trained are the float32 initializers that a gradient reaches, but for those that a pattern of
 * `freeze` names. BatchNormalization takes the statistics of the micro-batch in
 * training, unless its running ones are frozen, and Dropout drops. A Softmax or Sigmoid at the end
 * is left to the loss.
 * Throws: ShapeError when network and data do not fit, naming both; GraphError for what cannot be
 *         drawn; ConfigError for patterns that name nothing.
 */
export function importModel(
  file: GraphFile,
  task: ModelTask,
  { freeze = [], loss = 'auto', hasBinaryTargets = false }: ImportOptions = {},
): ImportedModel {
  const given = networkOf(file);
  const shape = sampleShapeOf(given, task);
  const network = withAnyBatch(given, shape);
  const probe = probed(given, network, shape);
  const sorted = sortParameters(network.file, probe, freeze);
  const isBinary = loss === 'auto' && hasBinaryTargets && answersYesOrNo(network.file, task);
  const usualLoss = isBinary ? 'bce' : undefined;
  const scored = {
    ...network,
    file: withoutFinalActivation(network.file, task, usualLoss ?? lossOf(task.target, { loss })),
  };
  const { features, target, vocabulary } = task;
  return {
    features,
    target,
    ...(vocabulary !== undefined && { vocabulary }),
    name: file.name,
    parameters: [...sorted.trained, ...sorted.statistics],
    sorted,
    notes: [
      ...notesOnWeights(file, new Set(sorted.trained.map(({ name }) => name))),
      ...(isBinary ? ['all targets are 0 or 1: the loss is bce (--loss mse for the other)'] : []),
    ],
    ...(usualLoss !== undefined && { usualLoss }),
    givesProbabilities: scored.file !== network.file,
    forward: (pass, x) => drawForward(pass, x, scored, task, shape, sorted),
    inference: (parameters) => ({
      ...network.file,
      initializers: withValues(network.file, parameters),
    }),
  };
}

function drawForward(
  pass: ForwardPass,
  x: ValueInfo,
  network: ImportedNetwork,
  task: ModelTask,
  shape: readonly number[],
  { trained, statistics }: ImportedParameters,
): ValueInfo {
  const { g, training } = pass;
  const input = asInput(g, x, network, shape);
  const values = new Map([[network.input.name, input]]);
  for (const spec of [...trained, ...statistics]) values.set(spec.name, pass.parameter(spec));
  const checkTables = tableCheck(network, task, input);
  const moving = new Set(statistics.map(({ name }) => name));
  const draw = (node: GraphNode, inputs: ReplayInputs): ValueInfo | undefined => {
    checkTables(node, inputs);
    if (training === undefined) return undefined;
    if (node.operator === 'Dropout') return drawDropout(g, node, inputs, training);
    if (node.operator === 'BatchNormalization')
      return drawBatchNormalization(g, node, inputs, training, moving);
    return undefined;
  };
  const [y] = replayGraph(g, network.file, { prefix: 'net/', values, draw });
  if (y === undefined) throw new GraphError(`model ${network.file.name}: no output`);
  return asPrediction(g, y, network, task, Number(x.shape[0]));
}

/** Dropout in training: x times a mask of the node's rate. */
function drawDropout(
  g: GraphBuilder,
  node: GraphNode,
  inputs: ReplayInputs,
  training: TrainingPass,
): ValueInfo | undefined {
  const x = inputs.value(0);
  // ONNX drops half when nothing is said. Six digits of a float32 are what somebody wrote.
  const rate = Number(Number(inputs.constant(1)?.data[0] ?? 0.5).toPrecision(6));
  if (x === undefined || !isStatic(x.shape) || rate === 0) return undefined;
  if (!(rate > 0 && rate < 1)) {
    throw new GraphError(
      `Dropout at ${node.name}: expected a ratio from 0 to below 1, got ${rate}`,
      { node: node.name },
    );
  }
  return g.mul(x, training.mask(x.shape, rate));
}

/** BatchNorm in training: by the micro-batch's statistics, which the running ones follow. */
function drawBatchNormalization(
  g: GraphBuilder,
  node: GraphNode,
  inputs: ReplayInputs,
  training: TrainingPass,
  moving: Set<string>,
): ValueInfo | undefined {
  const [, , , meanName = '', varianceName = ''] = node.inputs;
  const [x, scale, bias] = [inputs.value(0), inputs.value(1), inputs.value(2)];
  if (!moving.has(meanName) || x === undefined || scale === undefined || bias === undefined)
    return undefined;
  const { mean, variance, unbiasedVariance } = drawBatchStatistics(g, x, training.sampleWeight);
  training.observe(meanName, mean);
  training.observe(varianceName, unbiasedVariance);
  return g.batchNormalization(x, scale, bias, mean, variance, {
    epsilon: numberAttribute(node, 'epsilon', 1e-5),
  });
}

/**
 * Whether the network gives one score per sample or pixel, or probabilities of answers one by one.
 */
function answersYesOrNo(file: GraphFile, { target }: ModelTask): boolean {
  if (target.kind !== 'regression') return false;
  const { outputs, shape: [channels, ...size] = [] } = target;
  const isMask = size.length === 1 || (size.length > 1 && channels === 1);
  return outputs === 1 || isMask || lastNode(file)?.operator === 'Sigmoid';
}

function lastNode({ nodes, outputs: [output] }: GraphFile): GraphNode | undefined {
  return nodes.find(({ outputs }) => output !== undefined && outputs.includes(output.name));
}

/**
 * The network without the Softmax or Sigmoid that makes probabilities of its scores: the
 * cross-entropies take scores.
 */
function withoutFinalActivation(
  file: GraphFile,
  { target }: ModelTask,
  loss: ReturnType<typeof lossOf>,
): GraphFile {
  const isOfTwo = 'classes' in target && target.classes === 2;
  // Of two classes one probability may be given, by a Sigmoid.
  const isSingle =
    isOfTwo && file.outputs[0]?.shape.at(target.kind === 'segmentation' ? 1 : -1) !== 2;
  const crossEntropy = isSingle ? 'Sigmoid' : 'Softmax';
  const endings = { 'cross-entropy': crossEntropy, bce: 'Sigmoid', mse: undefined };
  const [output] = file.outputs;
  const last = lastNode(file);
  if (output === undefined || last === undefined || last.operator !== endings[loss]) return file;
  return {
    ...file,
    nodes: file.nodes.filter((node) => node !== last),
    outputs: [{ ...output, name: last.inputs[0] ?? '' }],
  };
}

/** The initializers that the file uses, with new values for those that are parameters. */
function withValues(
  { name, initializers, nodes, outputs }: GraphFile,
  parameters: ReadonlyMap<string, Float32Array>,
): GraphFile['initializers'] {
  const used = new Set([
    ...nodes.flatMap(({ inputs }) => inputs),
    ...outputs.map((output) => output.name),
  ]);
  const needed = initializers.filter((tensor) => used.has(tensor.name));
  return needed.map((tensor) => {
    const data = parameters.get(tensor.name) ?? tensor.data;
    if (data.length === tensor.data.length) return { ...tensor, data };
    throw new ShapeError(
      `model ${name}: expected ${tensor.data.length} values for ${tensor.name}, got ${data.length}`,
      { name: tensor.name },
    );
  });
}

/**
 * The first drawing. Where it fails, a network that was exported for one batch size is told that
 * this may be why.
 */
function probed(
  { file, input }: ImportedNetwork,
  network: ImportedNetwork,
  shape: readonly number[],
): Graph {
  try {
    return probeNetwork(network, [PROBE_BATCH, ...shape]);
  } catch (error) {
    const [batch] = input.shape;
    if (!(error instanceof LockstepError) || typeof batch !== 'number') throw error;
    throw new GraphError(
      `${error.message} The file was exported for batches of ${batch} samples; export it ` +
        `again with dynamic_axes={'${input.name}': {0: 'batch'}}.`,
      { ...error.context, file: file.name },
      { cause: error },
    );
  }
}
