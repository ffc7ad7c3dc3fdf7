/**
 * Forms of a convolution's weight gradient:
 *
 *   dW[m, c, k] = sum over batch b and positions y of
 *                 dY[b, m, y] * x[b, c, stride y + dilation k - pad]
 *
 * Letters: B batch, G groups, C channels, M outputs, S sizes of the input, Y of the output, K
 *          kernel positions.
 */
import type { GraphBuilder } from '../graph/builder.ts';
import type { ValueInfo } from '../graph/values/types.ts';
import { hasColumns, outputsFirst, toColumns } from './conv-columns.ts';
import { axesFrom, join, permute, slicesByPosition } from './conv-patches.ts';
import { product, type ConvSignature } from './conv-signature.ts';

/** x [B, C, ...S] and dy [B, M, ...Y] -> [M, C / G, ...kernel] */
type DrawWeightGradient = (
  g: GraphBuilder,
  signature: ConvSignature,
  x: ValueInfo,
  dy: ValueInfo,
) => ValueInfo;

/** Channels last, one product per kernel position: long sums, little copying. */
const positions: DrawWeightGradient = (g, signature, x, dy) => {
  const { batch, group, channels, outputs, kernel, counts } = signature;
  const rows = [group, outputs / group, batch * product(counts)];
  const [left, slices] = [
    g.reshape(outputsFirst(g, signature, dy), rows),
    channelsLast(g, signature, x),
  ];
  const products = slices.map((slice) =>
    g.reshape(g.matMul(left, slice), [1, outputs, channels / group]),
  );
  return g.reshape(permute(g, join(g, products, 0), [1, 2, 0]), [
    outputs,
    channels / group,
    ...kernel,
  ]);
};

/** One product for all images and kernel positions: for small images, and large 1x1 layers. */
const columns: DrawWeightGradient = (g, signature, x, dy) => {
  const { channels, outputs, kernel } = signature;
  const right = toColumns(g, signature, x); // [C K, B Y]
  const gradient = g.gemm(outputsFirst(g, signature, dy), right, undefined, { transB: true });
  return g.reshape(gradient, [outputs, channels, ...kernel]);
};

/**
 * One product per image and group, added up over the images: for few channels, and for 1x1 kernels.
 */
const patches: DrawWeightGradient = (g, signature, x, dy) => {
  const { batch, group, channels, outputs, kernel, sizes, counts } = signature;
  const perGroup = channels / group;
  const slices = slicesByPosition(
    g,
    g.reshape(x, [batch, group, perGroup, ...sizes]),
    3,
    signature,
  );
  const rows = slices.map((slice) => g.reshape(slice, [batch, group, perGroup, product(counts)]));
  const right = g.transpose(
    g.reshape(dy, [batch, group, outputs / group, product(counts)]),
    [0, 1, 3, 2],
  );
  const gradient = g.reduceSum(g.matMul(join(g, rows, 2), right), { axes: [0] }); // [G, K C/G, M/G]
  const split = g.reshape(gradient, [group, product(kernel), perGroup, outputs / group]);
  return g.reshape(g.transpose(split, [0, 3, 2, 1]), [outputs, perGroup, ...kernel]);
};

/** A convolution over the batch by dY, strides and dilations exchanged; x's channels are images. */
const swapped: DrawWeightGradient = (g, signature, x, dy) => {
  const { sizes, kernel, strides, dilations, padsBegin, padsEnd } = signature;
  const swap = [1, 0, ...axesFrom(2, sizes.length)];
  const gradient = g.conv(g.transpose(x, swap), g.transpose(dy, swap), undefined, {
    strides: dilations,
    dilations: strides,
    pads: [...padsBegin, ...padsEnd],
  }); // [C, M, ...K or larger]
  // What a stride left over at the end of the input is no position of the kernel.
  const isLarger = kernel.some((size, i) => gradient.shape[2 + i] !== size);
  const starts = kernel.map(() => 0);
  const cut = isLarger
    ? g.slice(gradient, { axes: axesFrom(2, kernel.length), starts, ends: kernel })
    : gradient;
  return g.transpose(cut, swap);
};

/** x -> for each kernel position [G, B Y, C/G] */
function channelsLast(g: GraphBuilder, signature: ConvSignature, x: ValueInfo): ValueInfo[] {
  const { batch, group, channels, sizes, counts } = signature;
  const grouped = g.reshape(x, [batch, group, channels / group, ...sizes]);
  const last = g.transpose(grouped, [1, 0, ...axesFrom(3, sizes.length), 2]); // [G, B, ...S, C/G]
  const shape = [group, batch * product(counts), channels / group];
  return slicesByPosition(g, last, 2, signature).map((slice) => g.reshape(slice, shape));
}

/** Ways to draw a weight gradient, by the name of the form. */
export const WEIGHT_FORMS = { positions, columns, patches, swapped } as const satisfies Readonly<
  Record<string, DrawWeightGradient>
>;
/** The name of a form of a weight gradient. */
export type WeightForm = keyof typeof WEIGHT_FORMS;

/** The forms that are right for a signature. */
export function weightForms(signature: ConvSignature): readonly WeightForm[] {
  const forms: WeightForm[] = ['positions', 'patches'];
  if (hasColumns(signature)) forms.push('columns');
  if (signature.group === 1) forms.push('swapped');
  return forms;
}

/**
 * The form for a signature that was not measured; thresholds from `npm run bench -- convolutions`.
 */
export function defaultWeightForm(signature: ConvSignature): WeightForm {
  const { group, channels, kernel, counts } = signature;
  const hasFewChannels = channels / group <= 8;
  if (hasFewChannels) return group === 1 && product(kernel) > 25 ? 'swapped' : 'patches';
  if (product(counts) <= 16 && hasColumns(signature)) return 'columns';
  return product(kernel) === 1 ? 'patches' : 'positions';
}
