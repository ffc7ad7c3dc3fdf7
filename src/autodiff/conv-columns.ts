/**
 * A micro-batch of images as one matrix of columns: what the kernel meets at each position.
 *
 * The columns come from the images by a product with a constant matrix of zeros and ones, which
 * costs little as long as images are of a few positions; for those it is many times faster than
 * slices, pads and sums of small pieces.
 * Letters: B batch, C channels, S sizes of the input, Y of the output, K kernel positions.
 */
import type { GraphBuilder } from '../graph/builder.ts';
import type { ValueInfo } from '../graph/values/types.ts';
import { kernelPositions, product, type ConvSignature } from './conv-signature.ts';

/** More elements would make the constant a burden: it lies in the step's file. */
const MAX_PLACES = 2 ** 14;

/** Whether a convolution can be drawn with columns. */
export function hasColumns(signature: ConvSignature): boolean {
  const { group, sizes, kernel, counts } = signature;
  if (group !== 1) return false;
  return isPointwise(signature) || product(sizes) * product(kernel) * product(counts) <= MAX_PLACES;
}

/** x [B, C, ...S] -> [C K, B Y] */
export function toColumns(g: GraphBuilder, signature: ConvSignature, x: ValueInfo): ValueInfo {
  const { batch, channels, sizes, kernel, counts } = signature;
  const [places, positions] = [product(kernel), product(counts)];
  const images = g.reshape(x, [batch * channels, product(sizes)]);
  // [B C, K Y]
  const met = isPointwise(signature) ? images : g.matMul(images, placesOf(g, signature));
  const first = g.transpose(g.reshape(met, [batch, channels * places, positions]), [1, 0, 2]);
  return g.reshape(first, [channels * places, batch * positions]);
}

/** [C K, B Y] -> [B, C, ...S]: adds elements where they came from, the gradient of `toColumns`. */
export function fromColumns(
  g: GraphBuilder,
  signature: ConvSignature,
  columns: ValueInfo,
): ValueInfo {
  const { batch, channels, sizes, kernel, counts } = signature;
  const [places, positions] = [product(kernel), product(counts)];
  const images = g.transpose(g.reshape(columns, [channels * places, batch, positions]), [1, 0, 2]);
  if (isPointwise(signature)) return g.reshape(images, [batch, channels, ...sizes]);
  const met = g.reshape(images, [batch * channels, places * positions]);
  return g.reshape(g.gemm(met, placesOf(g, signature), undefined, { transB: true }), [
    batch,
    channels,
    ...sizes,
  ]);
}

/** dy [B, M, ...Y] -> [M, B Y], as the columns lie. */
export function outputsFirst(
  g: GraphBuilder,
  { batch, outputs, counts }: ConvSignature,
  dy: ValueInfo,
): ValueInfo {
  const first = g.transpose(g.reshape(dy, [batch, outputs, product(counts)]), [1, 0, 2]);
  return g.reshape(first, [outputs, batch * product(counts)]);
}

/** A 1x1 kernel that meets every element once. */
function isPointwise({ kernel, strides, padsBegin, padsEnd }: ConvSignature): boolean {
  const isUnpadded = [...padsBegin, ...padsEnd].every((pad) => pad === 0);
  return isUnpadded && [...kernel, ...strides].every((value) => value === 1);
}

/** [S, K Y]: 1 where kernel position k of window y meets element s. */
function placesOf(g: GraphBuilder, signature: ConvSignature): ValueInfo {
  const { sizes, kernel, counts, strides, dilations, padsBegin } = signature;
  const [size, positions] = [product(sizes), product(counts)];
  const columns = product(kernel) * positions;
  const elements = Array<number>(size * columns).fill(0);
  for (const [k, place] of kernelPositions({ kernel }).entries()) {
    for (const [y, window] of kernelPositions({ kernel: counts }).entries()) {
      const at = window.map(
        (index, i) =>
          index * (strides[i] ?? 1) + (place[i] ?? 0) * (dilations[i] ?? 1) - (padsBegin[i] ?? 0),
      );
      const isInside = at.every((index, i) => index >= 0 && index < (sizes[i] ?? 0));
      const s = at.reduce((offset, index, i) => offset * (sizes[i] ?? 1) + index, 0);
      if (isInside) elements[s * columns + k * positions + y] = 1;
    }
  }
  return g.constant('float32', [size, columns], elements);
}
