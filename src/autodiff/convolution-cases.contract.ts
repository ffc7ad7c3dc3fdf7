/** The gradient cases of the convolution family, for gradient-cases.contract.ts. */
import type { GraphBuilder } from '../graph/builder.ts';
import type { ValueInfo } from '../graph/values/types.ts';
import { drawBatchStatistics } from './batch-statistics.ts';

type Draw = (g: GraphBuilder, a: ValueInfo, b: ValueInfo, c: ValueInfo) => ValueInfo;

const vector = (g: GraphBuilder, ...values: number[]): ValueInfo =>
  g.constant('float32', [values.length], values);
const conv: Draw = (g, a, b, c) => g.conv(a, b, c);

/** All samples but the last, normalised; the last has weight 0. */
const trainingBatchNorm: Draw = (g, x, scale, bias) => {
  const samples = Number(x.shape[0]);
  const weights = vector(g, ...Array<number>(samples - 1).fill(1), 0);
  const { mean, variance } = drawBatchStatistics(g, x, weights);
  const y = g.batchNormalization(x, scale, bias, mean, variance);
  return g.slice(y, { axes: [0], starts: [0], ends: [samples - 1] });
};

export const CONVOLUTION_CASES: Readonly<Record<string, Draw>> = {
  Conv: conv,
  'Conv stride and pads': (g, a, b, c) => g.conv(a, b, c, { strides: [2, 1], pads: [1, 2, 1, 2] }),
  'Conv dilation': (g, a, b) => g.conv(a, b, undefined, { dilations: [2, 2], pads: [2, 2, 2, 2] }),
  'Conv groups': (g, a, b) => g.conv(a, b, undefined, { group: 2, strides: [2, 2] }),
  'Conv depthwise': (g, a, b) => g.conv(a, b, undefined, { group: 3, pads: [1, 1, 1, 1] }),
  'Conv pointwise': conv,
  'Conv one axis': (g, a, b, c) => g.conv(a, b, c, { strides: [2], pads: [1, 1] }),
  'Conv same lower': (g, a, b) => g.apply('Conv', [a, b], { auto_pad: 'SAME_LOWER' }),
  ConvTranspose: (g, a, b, c) =>
    g.convTranspose(a, b, c, { strides: [2, 2], pads: [1, 1, 1, 1], outputPadding: [1, 1] }),
  'ConvTranspose groups': (g, a, b) =>
    g.convTranspose(a, b, undefined, { group: 2, dilations: [2, 2] }),
  MaxPool: (g, a) => g.maxPool(a, { kernel: [2, 2], strides: [2, 2] }),
  'MaxPool overlapping': (g, a) =>
    g.maxPool(a, { kernel: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] }),
  'MaxPool ceil': (g, a) =>
    g.apply('MaxPool', [a], { kernel_shape: [2, 2], strides: [2, 2], ceil_mode: 1 }),
  'MaxPool one axis': (g, a) => g.apply('MaxPool', [a], { kernel_shape: [2], dilations: [2] }),
  AveragePool: (g, a) => g.averagePool(a, { kernel: [2, 2], strides: [2, 2] }),
  'AveragePool overlapping': (g, a) =>
    g.averagePool(a, { kernel: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] }),
  'AveragePool inside': (g, a) =>
    g.apply('AveragePool', [a], { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] }),
  'AveragePool ceil': (g, a) =>
    g.apply('AveragePool', [a], { kernel_shape: [2, 3], strides: [2, 2], ceil_mode: 1 }),
  GlobalAveragePool: (g, a) => g.globalAveragePool(a),
  GlobalMaxPool: (g, a) => g.apply('GlobalMaxPool', [a]),
  BatchNormalization: (g, a, b, c) =>
    g.batchNormalization(a, b, c, vector(g, 0.5, -1), vector(g, 0.25, 2)),
  'BatchNormalization by statistics': (g, a, mean, variance) =>
    g.batchNormalization(a, vector(g, 0.5, -1), vector(g, 0.25, 2), mean, variance, {
      epsilon: 0.1,
    }),
  Pad: (g, a) => g.pad(a, [0, 1, 1, 2]),
  'Pad value and cut': (g, a) => g.pad(a, [0, -1, 0, 2], 0.5),
  'batch normalization in training': trainingBatchNorm,
  'batch normalization in training without axes': trainingBatchNorm,
};
