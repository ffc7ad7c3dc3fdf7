/** Forms of a convolution itself; letters as in conv-weight-forms.ts. */
import type { GraphBuilder } from '../graph/builder.ts';
import type { GraphNode, ValueInfo } from '../graph/types.ts';
import { axesFrom, slicesByPosition } from './conv-patches.ts';
import { product, type ConvSignature } from './conv-signature.ts';

export type OutputForm = 'operator' | 'columns';

/** The forms that are right for a signature. */
export function outputForms({ group }: ConvSignature): readonly OutputForm[] {
  return group === 1 ? ['operator', 'columns'] : ['operator'];
}

/** The form for a signature that was not measured; threshold from `npm run bench -- convolutions`. */
export function defaultOutputForm({ group, counts, channels }: ConvSignature): OutputForm {
  return group === 1 && product(counts) <= 4 && channels >= 64 ? 'columns' : 'operator';
}

/** Draws a Conv node in one form; the result carries the node's names. */
export function drawConvolution(
  g: GraphBuilder,
  node: GraphNode,
  signature: ConvSignature,
  form: OutputForm,
): void {
  if (form === 'operator') g.append(node);
  else g.within(node.name, () => drawColumns(g, node, signature));
}

/** One product for all images, as the kernel meets them: for images of a few positions, which the operator takes one by one. */
function drawColumns(g: GraphBuilder, node: GraphNode, signature: ConvSignature): void {
  const { batch, channels, outputs, kernel, counts, sizes } = signature;
  const [x, weight, bias] = node.inputs.map((name): ValueInfo | undefined =>
    name === '' ? undefined : g.value(name),
  );
  if (x === undefined || weight === undefined) return;
  const spatial = axesFrom(2, sizes.length);
  const slices = slicesByPosition(g, g.transpose(x, [1, 0, ...spatial]), 2, signature); // [C, B, ...Y]
  const rows = slices.map((slice) => g.reshape(slice, [channels, 1, batch * product(counts)]));
  const columns = g.reshape(g.concat(rows, 1), [channels * product(kernel), batch * product(counts)]);
  const matrix = g.reshape(weight, [outputs, channels * product(kernel)]);
  const result = g.gemm(matrix, columns, bias && g.reshape(bias, [outputs, 1]));
  const images = g.reshape(result, [outputs, batch, ...counts]);
  g.append({
    operator: 'Transpose',
    name: node.name,
    inputs: [images.name],
    outputs: node.outputs,
    attributes: { perm: [1, 0, ...spatial] },
  });
}
