/**
 * Forms of a convolution's input gradient:
 *
 *   dX[b, c, s] = sum over outputs m and kernel positions k of
 *                 W[m, c, k] * dY[b, m, (s + pad - dilation k) / stride]
 *
 * Letters: B batch, G groups, C channels, M outputs, S sizes of the input, Y of the output, K
 *          kernel positions.
 */
import type { GraphBuilder } from '../graph/builder.ts';
import type { ValueInfo } from '../graph/values/types.ts';
import { windowSpan } from '../graph/operators/window.ts';
import { fromColumns, hasColumns, outputsFirst } from './conv-columns.ts';
import { product, type ConvSignature } from './conv-signature.ts';

/** weight [M, C / G, ...kernel] and dy [B, M, ...Y] -> [B, C, ...S] */
type DrawInputGradient = (
  g: GraphBuilder,
  signature: ConvSignature,
  weight: ValueInfo,
  dy: ValueInfo,
) => ValueInfo;

/** The operator that is made for it; right for every convolution. */
const transposed: DrawInputGradient = (g, signature, weight, dy) => {
  const { sizes, counts, strides, dilations, padsBegin, padsEnd, group } = signature;
  // Elements at the end of the input that no window reaches.
  const outputPadding = sizes.map((size, i) => {
    const reached = ((counts[i] ?? 1) - 1) * (strides[i] ?? 1) + windowSpan(signature, i);
    return size + (padsBegin[i] ?? 0) + (padsEnd[i] ?? 0) - reached;
  });
  const pads = [...padsBegin, ...padsEnd];
  return g.convTranspose(dy, weight, undefined, { strides, dilations, pads, group, outputPadding });
};

/** A convolution with the kernel turned round, its channels and outputs exchanged. */
const flipped: DrawInputGradient = (g, signature, weight, dy) => {
  const { group, channels, outputs, kernel, dilations, padsBegin, padsEnd } = signature;
  const [perGroup, places] = [channels / group, product(kernel)];
  const split = g.reshape(weight, [group, outputs / group, perGroup, places]);
  const turned = permuteReversed(g, split, places); // [G, C/G, M/G, K]
  const pads = [padsBegin, padsEnd].flatMap((side) =>
    side.map((pad, i) => windowSpan(signature, i) - 1 - pad),
  );
  const exchanged = g.reshape(turned, [channels, outputs / group, ...kernel]);
  return g.conv(dy, exchanged, undefined, { dilations, group, pads });
};

/** [G, M, C, K] -> [G, C, M, K] with K backwards, without a backward Slice, which is slow. */
function permuteReversed(g: GraphBuilder, weight: ValueInfo, places: number): ValueInfo {
  if (places === 1) return g.transpose(weight, [0, 2, 1, 3]);
  const backwards = g.ints(Array.from({ length: places }, (_, i) => places - 1 - i));
  const reversed = g.gather(g.transpose(weight, [3, 0, 2, 1]), backwards, 0); // [K, G, C, M]
  return g.transpose(reversed, [1, 2, 3, 0]);
}

/** One product for all images: for images of a few positions. */
const columns: DrawInputGradient = (g, signature, weight, dy) => {
  const { channels, outputs, kernel } = signature;
  const matrix = g.reshape(weight, [outputs, channels * product(kernel)]);
  return fromColumns(
    g,
    signature,
    g.gemm(matrix, outputsFirst(g, signature, dy), undefined, { transA: true }),
  );
};

/** Ways to draw an input gradient, by the name of the form. */
export const INPUT_FORMS = { transposed, flipped, columns } as const satisfies Readonly<
  Record<string, DrawInputGradient>
>;
/** The name of a form of an input gradient. */
export type InputForm = keyof typeof INPUT_FORMS;

/** The forms that are right for a signature. */
export function inputForms(signature: ConvSignature): InputForm[] {
  const { strides, padsBegin, padsEnd } = signature;
  const isInside = [padsBegin, padsEnd].every((side) =>
    side.every((pad, i) => pad < windowSpan(signature, i)),
  );
  const forms: InputForm[] = ['transposed'];
  if (isInside && strides.every((stride) => stride === 1)) forms.push('flipped');
  if (hasColumns(signature)) forms.push('columns');
  return forms;
}

/**
 * The form for a signature that was not measured; thresholds from `npm run bench -- convolutions`.
 */
export function defaultInputForm(signature: ConvSignature): InputForm {
  const { channels, counts, kernel, group } = signature;
  const forms = inputForms(signature);
  if (forms.includes('columns') && product(counts) <= 16) return 'columns';
  const prefersFlipped =
    product(kernel) === 1 || (product(counts) >= 1024 && channels / group >= 16);
  return prefersFlipped && forms.includes('flipped') ? 'flipped' : 'transposed';
}
