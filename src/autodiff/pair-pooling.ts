/**
 * The usual MaxPool, of 2 x 2 windows side by side, in a form whose gradient is cheap.
 *
 * ONNX Runtime's MaxPool with indices takes 4 ns per element of the input: 8.2 ms for [32, 64, 32,
 * 32] on one core of an AMD EPYC (onnxruntime-node 1.30), and with the other two 15 of the 109 ms
 * of a step of simple_cnn, now 103. Here the greater of two neighbours is taken along rows, then
 * along columns; what goes to the left and to the right of a pair is picked and put back by
 * products with constant matrices of 0 and 1, which are exact.
 */
import type { GraphBuilder } from '../graph/builder.ts';
import { numberAttribute, intsAttribute } from '../graph/operators/operator.ts';
import { isStatic } from '../graph/values/shape.ts';
import type { GraphNode } from '../graph/types.ts';
import type { ValueInfo } from '../graph/values/types.ts';
import { windowOf } from '../graph/operators/window.ts';
import { callOf } from './conv-signature.ts';

/** The products grow with the width; beyond this the indices are as fast. */
const MAX_WIDTH = 64;

interface PairShape {
  readonly batch: number;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
}

/** The input's shape if the node pools 2 x 2 windows side by side, with nothing left over. */
function pairShapeOf(g: GraphBuilder, node: GraphNode): PairShape | undefined {
  if (node.operator !== 'MaxPool' || node.outputs.length > 1) return undefined;
  const { shape } = g.value(node.inputs[0] ?? '');
  if (shape.length !== 4 || !isStatic(shape)) return undefined;
  const [batch = 1, channels = 1, height = 1, width = 1] = shape;
  const window = windowOf(callOf(g, node), intsAttribute(node, 'kernel_shape') ?? [], [
    height,
    width,
  ]);
  const isPlain =
    [...window.kernel, ...window.strides].every((size) => size === 2) &&
    [...window.padsBegin, ...window.padsEnd].every((pad) => pad === 0) &&
    window.dilations.every((dilation) => dilation === 1) &&
    numberAttribute(node, 'storage_order', 0) === 0;
  const fits = height % 2 === 0 && width % 2 === 0 && width <= MAX_WIDTH;
  return isPlain && fits ? { batch, channels, height, width } : undefined;
}

/** Whether `drawPairPooling` would draw this node. */
export function isPairPooling(g: GraphBuilder, node: GraphNode): boolean {
  return pairShapeOf(g, node) !== undefined;
}

/** Draws such a node under its own names and gives true; any other node stays to the caller. */
export function drawPairPooling(g: GraphBuilder, node: GraphNode): boolean {
  const pairs = pairShapeOf(g, node);
  const [y] = node.outputs;
  if (pairs === undefined || y === undefined) return false;
  const { batch, channels, height, width } = pairs;
  const rows = batch * channels * height;
  g.within(node.name, () => {
    const x = g.reshape(g.value(node.inputs[0] ?? ''), [rows, width]);
    // [R, W / 2]
    const [left, right] = [g.matMul(x, picker(g, width, 0)), g.matMul(x, picker(g, width, 1))];
    const greater = firstOfPair(g, y, 'isLeft', left, right);
    // [R / 2, 1, W / 2]
    const [top, bottom] = splitRows(g, g.reshape(greater, [rows / 2, 2, width / 2]));
    const greatest = firstOfPair(g, y, 'isTop', top, bottom);
    g.append({
      operator: 'Reshape',
      name: node.name,
      inputs: [greatest.name, g.ints([batch, channels, height / 2, width / 2]).name],
      outputs: [y],
      attributes: {},
    });
  });
  return true;
}

/** dX: dY at the first greatest element of each window, 0 elsewhere. */
export function unpoolPairs(
  g: GraphBuilder,
  node: GraphNode,
  y: ValueInfo,
  dy: ValueInfo,
): ValueInfo {
  const { shape } = g.value(node.inputs[0] ?? '');
  const width = Number(shape[3]);
  const isTop = g.value(`${y.name}.isTop`); // [R / 2, 1, W / 2]
  const isLeft = g.value(`${y.name}.isLeft`); // [R, W / 2]
  const dRows = g.reshape(dy, isTop.shape.map(Number));
  const dPairs = g.reshape(g.concat(share(g, dRows, isTop), 1), isLeft.shape.map(Number));
  const [dLeft, dRight] = share(g, dPairs, isLeft); // [R, W / 2]
  const left = g.matMul(dLeft, placer(g, width, 0)); // [R, W]
  return g.reshape(g.gemm(dRight, placer(g, width, 1), left), shape.map(Number));
}

/**
 * What of `d` goes to the first of each pair, and what to the second. The difference is exact: one
 * of them is 0.
 */
function share(g: GraphBuilder, d: ValueInfo, isFirst: ValueInfo): readonly [ValueInfo, ValueInfo] {
  const first = g.mul(d, isFirst);
  return [first, g.sub(d, first)];
}

/** max(first, second); `<y>.<name>` is 1 where that is the first, or both are equal, else 0. */
function firstOfPair(
  g: GraphBuilder,
  y: string,
  name: string,
  first: ValueInfo,
  second: ValueInfo,
): ValueInfo {
  const isFirst = g.apply('GreaterOrEqual', [first, second]);
  g.append({
    operator: 'Cast',
    name: `${y}.${name}`,
    inputs: [isFirst.name],
    outputs: [`${y}.${name}`],
    attributes: { to: 'float32' },
  });
  return g.max(first, second);
}

function splitRows(g: GraphBuilder, pairs: ValueInfo): readonly [ValueInfo, ValueInfo] {
  const [top, bottom] = g.split(pairs, [1, 1], 1);
  return [top ?? pairs, bottom ?? pairs];
}

/** [W, W / 2]: picks elements `side`, side + 2 ... of a row. */
function picker(g: GraphBuilder, width: number, side: number): ValueInfo {
  const half = width / 2;
  const elements = Array.from({ length: width * half }, (_, i) =>
    Math.floor(i / half) === 2 * (i % half) + side ? 1 : 0,
  );
  return g.constant('float32', [width, half], elements);
}

/** [W / 2, W]: puts them back. */
function placer(g: GraphBuilder, width: number, side: number): ValueInfo {
  const half = width / 2;
  const elements = Array.from({ length: half * width }, (_, i) =>
    i % width === 2 * Math.floor(i / width) + side ? 1 : 0,
  );
  return g.constant('float32', [half, width], elements);
}
