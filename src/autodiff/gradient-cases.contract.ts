/**
 * The cases with which gradient rules are checked. Their inputs, outputs and gradients are recorded from PyTorch
 * by scripts/record-pytorch-gradients.py, under the same names; a case is named after its operator first.
 */
import { readFileSync } from 'node:fs';
import { GraphBuilder } from '../graph/builder.ts';
import type { Graph, ValueInfo } from '../graph/types.ts';
import { crossEntropySum, squaredErrorSum } from './losses.ts';
import { differentiateGraph } from './differentiate.ts';

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
  readonly gradients: Readonly<Record<string, { readonly norm: number; readonly first: readonly number[] }>>;
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

const indices = (g: GraphBuilder): ValueInfo => g.constant('int64', [2, 4], [0, 2, 2, 1, 1, 1, 0, 0]);
const mask = (g: GraphBuilder): ValueInfo => g.constant('bool', [2, 3], [1, 0, 1, 0, 0, 1]);
const labels = (g: GraphBuilder): ValueInfo => g.constant('int32', [4], [2, 0, 1, 2]);
const weights = (g: GraphBuilder): ValueInfo => g.constant('float32', [4], [1, 0.5, 0, 2]);

const add: Draw = (g, a, b) => g.add(a, b);
const mul: Draw = (g, a, b) => g.mul(a, b);
const div: Draw = (g, a, b) => g.div(a, b);
const matMul: Draw = (g, a, b) => g.matMul(a, b);

/** How a case is drawn, by its name. */
export const CASES: Readonly<Record<string, Draw>> = {
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
  'used twice': (g, a) => g.add(g.mul(a, g.tanh(a)), a),
  centred: (g, a) => g.sub(a, g.reduceMean(a, { axes: [1], keepsAxes: true })),
  'cross entropy': (g, a) => crossEntropySum(g, a, labels(g), weights(g)),
  'squared error': (g, a, b) => squaredErrorSum(g, a, b, weights(g)),
};

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
