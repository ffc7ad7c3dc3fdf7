/** Whether a network from a file fits the data: input to their samples, output to their targets. */
import { ShapeError } from '../../base/errors.ts';
import type { GraphBuilder } from '../../graph/builder.ts';
import type { ReplayOptions } from '../../graph/replay.ts';
import {
  formatShape,
  isSameShape,
  isStatic,
  staticElementCount,
} from '../../graph/values/shape.ts';
import type { GraphFile } from '../../graph/types.ts';
import type { Shape, ValueInfo } from '../../graph/values/types.ts';
import type { ImportedNetwork } from './imported-probe.ts';
import { type ModelTask, outputShapeOf } from '../model.ts';

/** The channels of [B, C, ...]: of an image of scores those of the classes. */
const CHANNELS = 1;

/** The network of a file. Throws ShapeError when it has not exactly one input and one output. */
export function networkOf(file: GraphFile): ImportedNetwork {
  const [input, ...moreInputs] = file.inputs;
  const [output, ...moreOutputs] = file.outputs;
  const list = (values: readonly ValueInfo[]): string =>
    values.length === 0
      ? 'none'
      : values.map(({ name, shape }) => `${name} ${formatShape(shape)}`).join(', ');
  if (
    input === undefined ||
    output === undefined ||
    moreInputs.length > 0 ||
    moreOutputs.length > 0
  ) {
    throw new ShapeError(
      `model ${file.name}: expected one input and one output, got inputs ${list(file.inputs)} ` +
        `and outputs ${list(file.outputs)}. Export a module that takes one tensor and returns ` +
        'one.',
      { inputs: file.inputs.length, outputs: file.outputs.length },
    );
  }
  return { file, input, output };
}

/** What a network's input consists of; only the first two are trained on. */
const WHAT_IS_TAKEN = {
  float32: 'numbers',
  int32: 'tokens',
  int64: 'tokens',
  uint8: 'bytes',
  bool: 'booleans',
} as const satisfies Record<ValueInfo['type'], string>;

/**
 * The shape in which the network takes a sample of the task: the task's own, or that of the file
 * when it holds as many numbers ([784] for [1, 28, 28]).
 *
 * Throws: ShapeError naming both shapes, or what input and data are made of, if they do not fit.
 */
export function sampleShapeOf(
  { file, input }: ImportedNetwork,
  task: ModelTask,
): readonly number[] {
  const { features, vocabulary } = task;
  const taken = input.shape.slice(1);
  const takes = WHAT_IS_TAKEN[input.type];
  const given = vocabulary === undefined ? 'numbers' : `tokens 0 to ${vocabulary - 1}`;
  const kindFits =
    input.shape.length > 0 &&
    (takes === 'tokens' || takes === 'numbers') &&
    (takes === 'tokens') === (vocabulary !== undefined);
  const isExact =
    taken.length === features.length &&
    taken.every((size, axis) => typeof size === 'string' || size === features[axis]);
  if (kindFits && isExact) return features;
  if (kindFits && isStatic(taken) && staticElementCount(taken) === staticElementCount(features))
    return taken;
  throw new ShapeError(
    `model ${file.name} and the data do not fit: its input ${input.name} takes ${takes} ` +
      `${formatShape(taken)} (behind the batch), the data have ${given} ${formatShape(features)}`,
    { shapes: [input.shape, features] },
  );
}

/**
 * Brings samples x [B, ...features] to what the file takes: [B, ...shape], tokens as its integers.
 */
export function asInput(
  g: GraphBuilder,
  x: ValueInfo,
  { input }: ImportedNetwork,
  shape: readonly number[],
): ValueInfo {
  const sameRank = x.shape.length === shape.length + 1;
  const isSame = sameRank && shape.every((size, axis) => size === x.shape[axis + 1]);
  return g.cast(isSame ? x : g.reshape(x, [Number(x.shape[0]), ...shape]), input.type);
}

/**
 * What the network puts out, in the shape that the task's loss takes. [B] stands for [B, 1], and
 * one score z for the scores 0 and z of two classes, of which the cross-entropy is the binary one.
 * Scores of pixels are [B, classes, height, width], numbers arranged as the targets.
 *
 * Throws: ShapeError naming both shapes when they do not fit.
 */
export function asPrediction(
  g: GraphBuilder,
  y: ValueInfo,
  network: ImportedNetwork,
  task: ModelTask,
  batch: number,
): ValueInfo {
  const isWhole = y.type === 'float32' && y.shape[0] === batch && isStatic(y.shape);
  const prediction = isWhole ? inLossShape(g, y, task, batch) : undefined;
  if (prediction !== undefined) return prediction;
  const answer = answerShapeOf(task);
  throw new ShapeError(
    `model ${network.file.name} and the data do not fit: for a batch of ${batch} its output ` +
      `${network.output.name} is ${y.type} ${formatShape(y.shape)}, and a ${task.target.kind} ` +
      `needs float32 ${formatShape([batch, ...answer])}. Give its last layer ` +
      `${formatShape(answer)} outputs per sample before you export it.`,
    { shapes: [y.shape, [batch, ...answer]] },
  );
}

/** The prediction in the shape that the loss takes; undefined when it is none for such data. */
function inLossShape(
  g: GraphBuilder,
  y: ValueInfo,
  task: ModelTask,
  batch: number,
): ValueInfo | undefined {
  const { target } = task;
  const [own, answer] = [y.shape.slice(1), answerShapeOf(task)];
  const expected = [batch, ...outputShapeOf(task)];
  const isSame = isSameShape(own, answer);
  if (target.kind === 'segmentation') {
    if (isSame) return asPositions(g, y, expected);
    const isSingle = target.classes === 2 && isSameShape(own, answer.with(0, 1));
    return isSingle ? asPositions(g, withZeros(g, y), expected) : undefined;
  }
  if (isSame && isSameShape(y.shape, expected)) return y;
  if ('outputs' in target) return fitsAnswer(own, answer) ? g.reshape(y, expected) : undefined;
  const isSingle = target.kind === 'classification' && target.classes === 2 && isOne(own);
  return isSingle ? g.pad(g.reshape(y, [batch, 1]), [0, 1, 0, 0]) : undefined;
}

/** One answer as a network gives it: of pixels [classes, ...size], of numbers as they are stored. */
function answerShapeOf(task: ModelTask): readonly number[] {
  const { target } = task;
  if (target.kind === 'segmentation') return [target.classes, ...target.size];
  return ('outputs' in target ? target.shape : undefined) ?? outputShapeOf(task);
}

/** Whether both are the same but for axes of size 1, or one is a list of as many numbers. */
function fitsAnswer(own: Shape, answer: readonly number[]): boolean {
  const isList = own.length === 1 && own[0] === staticElementCount(answer);
  const plain = (shape: Shape): Shape => shape.filter((size) => size !== 1);
  return isList || isSameShape(plain(own), plain(answer));
}

/** [B, classes, ...size] -> [B, positions, classes] */
function asPositions(g: GraphBuilder, y: ValueInfo, to: readonly number[]): ValueInfo {
  const axes = y.shape.map((_, axis) => axis).filter((axis) => axis !== CHANNELS);
  return g.reshape(g.transpose(y, [...axes, CHANNELS]), to);
}

/** [B, 1, ...size] -> [B, 2, ...size], zeros in front. */
function withZeros(g: GraphBuilder, y: ValueInfo): ValueInfo {
  const begins = y.shape.map((_, axis) => (axis === CHANNELS ? 1 : 0));
  return g.pad(y, [...begins, ...begins.map(() => 0)]);
}

/** Whether there is one number for each sample: [] or [1]. */
function isOne(own: Shape): boolean {
  return own.length === 0 || isSameShape(own, [1]);
}

/**
 * Refuses tables with fewer rows than the data have tokens, where a node looks the tokens `x` up;
 * to be called for every node that is drawn.
 */
export function tableCheck(
  { file }: ImportedNetwork,
  task: ModelTask,
  x: ValueInfo,
): NonNullable<ReplayOptions['draw']> {
  return (node, inputs) => {
    if (task.vocabulary === undefined || node.operator !== 'Gather') return undefined;
    if (inputs.constant(1) !== undefined || inputs.value(1)?.name !== x.name) return undefined;
    const rows = inputs.value(0)?.shape[0];
    if (typeof rows !== 'number' || rows >= task.vocabulary) return undefined;
    throw new ShapeError(
      `model ${file.name} and the data do not fit: the table ${node.inputs[0] ?? ''} at ` +
        `${node.name} has ${rows} rows, the data have ${task.vocabulary} tokens`,
      { node: node.name, rows, vocabulary: task.vocabulary },
    );
  };
}
