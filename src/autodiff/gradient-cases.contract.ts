/**
 * The cases with which gradient rules are checked. Their inputs, outputs and gradients are recorded
 * from PyTorch by scripts/record-pytorch-gradients.py, under the same names; a case is named after
 * its operator first.
 */
import { readFileSync } from 'node:fs';
import { GraphBuilder } from '../graph/builder.ts';
import type { Graph } from '../graph/types.ts';
import type { ValueInfo } from '../graph/values/types.ts';
import { CONVOLUTION_CASES } from './convolution-cases.contract.ts';
import { IMAGE_CASES } from './image-cases.contract.ts';
import { binaryCrossEntropySum, crossEntropySum, squaredErrorSum } from './losses.ts';
import { differentiateGraph } from './differentiate.ts';
import { GRADIENT_RULES } from './gradient-rules.ts';

export interface RecordedCase {
  readonly name: string;
  readonly shapes: readonly (readonly number[])[];
  readonly inputs: readonly (readonly number[])[];
  readonly outputShape: readonly number[];
  readonly output: readonly number[];
  readonly projection: readonly number[];
  readonly gradients: readonly (readonly number[])[];
}

export interface RecordedMlp {
  readonly sizes: readonly number[];
  readonly batch: number;
  readonly loss: number;
  readonly correct: number;
  readonly gradients: Readonly<
    Record<string, { readonly norm: number; readonly first: readonly number[] }>
  >;
}

export interface Recorded {
  readonly torch: string;
  readonly cases: readonly RecordedCase[];
  readonly mlp: RecordedMlp;
}

/** What PyTorch computed. */
export function readRecorded(): Recorded {
  const file = new URL('../../test/fixtures/pytorch-gradients.json', import.meta.url);
  return JSON.parse(readFileSync(file, 'utf8')) as Recorded;
}

type Draw = (g: GraphBuilder, a: ValueInfo, b: ValueInfo, c: ValueInfo) => ValueInfo;

const indices = (g: GraphBuilder): ValueInfo =>
  g.constant('int64', [2, 4], [0, 2, 2, 1, 1, 1, 0, 0]);
const mask = (g: GraphBuilder): ValueInfo => g.constant('bool', [2, 3], [1, 0, 1, 0, 0, 1]);
const labels = (g: GraphBuilder): ValueInfo => g.constant('int32', [4], [2, 0, 1, 2]);
const positions = (g: GraphBuilder): ValueInfo => g.constant('int64', [3, 2], [0, 1, 2, 0, 0, 1]);
const weights = (g: GraphBuilder): ValueInfo => g.constant('float32', [4], [1, 0.5, 0, 2]);

const add: Draw = (g, a, b) => g.add(a, b);
const mul: Draw = (g, a, b) => g.mul(a, b);
const div: Draw = (g, a, b) => g.div(a, b);
const matMul: Draw = (g, a, b) => g.matMul(a, b);

/** How a case is drawn, by its name. */
export const CASES: Readonly<Record<string, Draw>> = {
  ...CONVOLUTION_CASES,
  ...IMAGE_CASES,
  'Add same shape': add,
  'Add bias': add,
  'Add row and column': add,
  'Add middle axis': add,
  'Sub broadcast left': (g, a, b) => g.sub(a, b),
  'Mul same shape': mul,
  'Mul scalar': mul,
  'Mul square': (g, a) => g.mul(a, a),
  'Div broadcast': div,
  'Div scalar by matrix': div,
  Where: (g, a, b) => g.where(mask(g), a, b),
  Neg: (g, a) => g.neg(a),
  Sign: (g, a) => g.mul(a, g.sign(a)),
  Relu: (g, a) => g.relu(a),
  Tanh: (g, a) => g.tanh(a),
  Sigmoid: (g, a) => g.sigmoid(a),
  HardSigmoid: (g, a) => g.hardSigmoid(a, 2, 0.5),
  Exp: (g, a) => g.exp(a),
  Log: (g, a) => g.log(a),
  Sqrt: (g, a) => g.sqrt(a),
  Identity: (g, a) => g.apply('Identity', [a]),
  Cast: (g, a) => g.apply('Cast', [a], { to: 'float32' }),
  Gemm: (g, a, b, c) => g.gemm(a, b, c, { alpha: 0.5, beta: 2 }),
  'Gemm transA': (g, a, b, c) => g.gemm(a, b, c, { alpha: 0.5, beta: 2, transA: true }),
  'Gemm transB': (g, a, b) => g.gemm(a, b, undefined, { transB: true }),
  'Gemm transA transB': (g, a, b, c) => g.gemm(a, b, c, { transA: true, transB: true }),
  MatMul: matMul,
  'MatMul batch by weight': matMul,
  'MatMul batches': matMul,
  'MatMul broadcast batches': matMul,
  'MatMul vector matrix': matMul,
  'MatMul matrix vector': matMul,
  'MatMul vectors': matMul,
  'MatMul batch by vector': matMul,
  'MatMul vector by batch': matMul,
  'ReduceSum all': (g, a) => g.reduceSum(a),
  'ReduceSum axis': (g, a) => g.reduceSum(a, { axes: [0] }),
  'ReduceSum two axes kept': (g, a) => g.reduceSum(a, { axes: [2, 0], keepsAxes: true }),
  'ReduceMean all': (g, a) => g.reduceMean(a),
  'ReduceMean last axis': (g, a) => g.reduceMean(a, { axes: [-1] }),
  'ReduceMax axis': (g, a) => g.reduceMax(a, { axes: [1] }),
  'ReduceMax all': (g, a) => g.reduceMax(a),
  Softmax: (g, a) => g.softmax(a),
  'Softmax first axis': (g, a) => g.softmax(a, 0),
  LogSoftmax: (g, a) => g.logSoftmax(a),
  'LogSoftmax first axis': (g, a) => g.logSoftmax(a, 0),
  Reshape: (g, a) => g.reshape(a, [3, -1]),
  Flatten: (g, a) => g.flatten(a),
  Transpose: (g, a) => g.transpose(a, [2, 0, 1]),
  Unsqueeze: (g, a) => g.unsqueeze(a, [1, -1]),
  Squeeze: (g, a) => g.squeeze(a, [1]),
  Expand: (g, a) => g.expand(a, [2, 3, 4]),
  GatherElements: (g, a) => g.gatherElements(a, indices(g), 1),
  ScatterElements: (g, a, b) => g.scatterAdd(a, indices(g), b, 1),
  'Pow square': (g, a) => g.pow(a, 2),
  'Pow cube': (g, a) => g.pow(a, 3),
  'Pow root': (g, a) => g.pow(a, 0.5),
  'Pow fraction': (g, a) => g.pow(a, -1.5),
  'Pow of two': (g, a, b) => g.pow(a, b),
  Min: (g, a, b) => g.min(a, b),
  'Max of three': (g, a, b, c) => g.max(a, b, c),
  'Max of one twice': (g, a) => g.max(a, a),
  Sum: (g, a, b, c) => g.apply('Sum', [a, b, c]),
  Clip: (g, a) => g.clip(a, -0.5, 0.8),
  'Clip below': (g, a) => g.clip(a, -0.5, Infinity),
  'Clip above': (g, a) => g.clip(a, -Infinity, 0.5),
  'Clip trained bounds': (g, a, b) =>
    g.apply('Clip', [a, g.sub(b, g.scalar(0.5)), g.add(b, g.scalar(0.5))]),
  Abs: (g, a) => g.abs(a),
  Floor: (g, a) => g.mul(a, g.apply('Floor', [a])),
  Ceil: (g, a) => g.mul(a, g.apply('Ceil', [a])),
  Round: (g, a) => g.mul(a, g.apply('Round', [a])),
  Reciprocal: (g, a) => g.apply('Reciprocal', [a]),
  Erf: (g, a) => g.erf(a),
  Sin: (g, a) => g.sin(a),
  Cos: (g, a) => g.cos(a),
  LeakyRelu: (g, a) => g.apply('LeakyRelu', [a], { alpha: 0.2 }),
  PRelu: (g, a, b) => g.apply('PRelu', [a, b]),
  Elu: (g, a) => g.apply('Elu', [a], { alpha: 0.7 }),
  Celu: (g, a) => g.apply('Celu', [a], { alpha: 0.7 }),
  Selu: (g, a) => g.apply('Selu', [a]),
  Softplus: (g, a) => g.apply('Softplus', [a]),
  Softsign: (g, a) => g.apply('Softsign', [a]),
  HardSwish: (g, a) => g.apply('HardSwish', [g.mul(a, g.scalar(4))]),
  Dropout: (g, a) => g.apply('Dropout', [a]),
  'ReduceMin axis': (g, a) => g.reduceMin(a, { axes: [1] }),
  'ReduceL1 axis': (g, a) => g.apply('ReduceL1', [a], { axes: [1], keepdims: 0 }),
  'ReduceL2 axis': (g, a) => g.apply('ReduceL2', [a], { axes: [0], keepdims: 1 }),
  'ReduceSumSquare axis': (g, a) => g.apply('ReduceSumSquare', [a], { axes: [1], keepdims: 0 }),
  'ReduceLogSumExp axis': (g, a) => g.apply('ReduceLogSumExp', [a], { axes: [1], keepdims: 0 }),
  LayerNormalization: (g, a, b, c) => g.layerNormalization(a, b, c),
  'LayerNormalization two axes': (g, a, b) =>
    g.layerNormalization(a, b, undefined, { axis: 1, epsilon: 0.1 }),
  'LayerNormalization broadcast scale': (g, a, b, c) => g.layerNormalization(a, b, c, { axis: 1 }),
  'LayerNormalization one output': (g, a, b, c) => g.apply('LayerNormalization', [a, b, c]),
  'Gather rows': (g, a) => g.gather(a, g.constant('int32', [2, 3], [4, 0, 1, 1, 4, 1])),
  'Gather middle axis': (g, a) => g.gather(a, g.constant('int64', [2, 2], [-1, 0, 1, 1]), 1),
  'Gather one index': (g, a) => g.gather(a, g.constant('int64', [], [-2]), 1),
  GatherND: (g, a) => g.apply('GatherND', [a, positions(g)]),
  'ScatterND add': (g, a, b) => g.scatterAddND(a, positions(g), b),
  'ScatterND write': (g, a, b) => g.apply('ScatterND', [a, g.constant('int64', [2, 1], [2, 0]), b]),
  'ScatterElements write': (g, a, b) =>
    g.apply('ScatterElements', [a, g.constant('int64', [2, 2], [2, 0, 0, 1]), b], { axis: 1 }),
  Concat: (g, a, b) => g.concat([a, b, a], 1),
  Split: (g, a) => {
    const [first, second, third] = g.split(a, [2, 1, 2], -1);
    return g.mul(g.mul(first!, second!), third!);
  },
  'Split in part': (g, a) => g.split(a, [2, 1], 0)[0]!,
  Slice: (g, a) => g.slice(a, { axes: [-1, 0], starts: [1, -2], ends: [3, 9] }),
  'Slice steps': (g, a) =>
    g.slice(a, { axes: [0, 1], starts: [5, 1], ends: [-99, 6], steps: [-2, 3] }),
  Tile: (g, a) => g.tile(a, [2, 3]),
  'Trilu lower': (g, a) => g.triangle(a, 'lower'),
  'Trilu upper': (g, a) => g.triangle(a, 'upper', 1),
  CumSum: (g, a) => g.cumSum(a, 1),
  'CumSum reverse': (g, a) => g.cumSum(a, 0, { reverse: true, exclusive: true }),
  'gelu by erf': (g, a) => g.gelu(a),
  'gelu by tanh': (g, a) => g.gelu(a, 'tanh'),
  attention: (g, a, b, c) => {
    const scores = g.matMul(g.mul(a, g.scalar(0.5)), g.transpose(b, [0, 2, 1])); // [B, T, T]
    const isFuture = g.constant('bool', [3, 3], [0, 1, 1, 0, 0, 1, 0, 0, 0]);
    return g.matMul(g.softmax(g.where(isFuture, g.scalar(-1e30), scores)), c);
  },
  'used twice': (g, a) => g.add(g.mul(a, g.tanh(a)), a),
  centred: (g, a) => g.sub(a, g.reduceMean(a, { axes: [1], keepsAxes: true })),
  'cross entropy': (g, a) => crossEntropySum(g, a, labels(g), weights(g)),
  'cross entropy smoothed': (g, a) =>
    crossEntropySum(g, a, labels(g), weights(g), { labelSmoothing: 0.1 }),
  'cross entropy ignored': (g, a) =>
    crossEntropySum(g, a, g.constant('int32', [4], [2, 3, -1, 0]), weights(g), {
      labelSmoothing: 0.1,
    }),
  'binary cross entropy': (g, a) =>
    binaryCrossEntropySum(
      g,
      g.mul(a, g.scalar(8)),
      g.constant('float32', [4, 2], [0, 1, 1, 0, 0.5, 0, 0.25, 1]),
      weights(g),
    ),
  'squared error': (g, a, b) => squaredErrorSum(g, a, b, weights(g)),
};

/** Names of the operators that a gradient can pass, sorted. */
export function differentiableOperators(): string[] {
  return Object.entries(GRADIENT_RULES)
    .filter(([, rule]) => typeof rule === 'function')
    .map(([name]) => name)
    .sort();
}

/** Names of a case's inputs, in the order of `shapes`. */
export const INPUT_NAMES = ['a', 'b', 'c'] as const;

/**
 * The graph of a case: inputs a, b, c and the projection; outputs the case's `output`, the `loss`
 * sum(output * projection) and its gradients.
 */
export function makeCaseGraph(recorded: RecordedCase): Graph {
  const draw = CASES[recorded.name];
  if (draw === undefined) throw new TypeError(`no case is called ${recorded.name}`);
  const g = new GraphBuilder(recorded.name);
  const names = INPUT_NAMES.slice(0, recorded.shapes.length);
  const [a, b, c] = names.map((name, i) => g.input(name, 'float32', recorded.shapes[i]!));
  const projection = g.input('projection', 'float32', recorded.outputShape);
  const output = draw(g, a!, b!, c!);
  g.output('output', output);
  g.output('loss', g.reduceSum(g.mul(output, projection)));
  return differentiateGraph(g.build(), 'loss', names);
}
