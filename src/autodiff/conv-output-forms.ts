/** Forms of a convolution itself; letters as in conv-weight-forms.ts. */
import type { GraphBuilder } from '../graph/builder.ts';
import type { GraphNode } from '../graph/types.ts';
import { hasColumns, toColumns } from './conv-columns.ts';
import { product, type ConvSignature } from './conv-signature.ts';

/** The name of a form of a convolution itself: the ONNX operator, or one matrix product. */
export type OutputForm = 'operator' | 'columns';

/** The forms that are right for a signature. */
export function outputForms(signature: ConvSignature): readonly OutputForm[] {
  return hasColumns(signature) ? ['operator', 'columns'] : ['operator'];
}

/**
 * The form for a signature that was not measured; threshold from `npm run bench -- convolutions`.
 */
export function defaultOutputForm(signature: ConvSignature): OutputForm {
  const prefersColumns = product(signature.counts) <= 4 && signature.channels >= 64;
  return prefersColumns && hasColumns(signature) ? 'columns' : 'operator';
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

/**
 * One product for all images, as the kernel meets them: for images of a few positions, which the
 * operator takes one by one.
 */
function drawColumns(g: GraphBuilder, node: GraphNode, signature: ConvSignature): void {
  const { batch, channels, outputs, kernel, counts } = signature;
  const [x, weight, bias] = node.inputs.map((name) => (name === '' ? undefined : g.value(name)));
  if (x === undefined || weight === undefined) return;
  const matrix = g.reshape(weight, [outputs, channels * product(kernel)]);
  const right = toColumns(g, signature, x); // [C K, B Y]
  const result = g.gemm(matrix, right, bias && g.reshape(bias, [outputs, 1])); // [M, B Y]
  g.append({
    operator: 'Transpose',
    name: node.name,
    inputs: [g.reshape(result, [outputs, batch, ...counts]).name],
    outputs: node.outputs,
    attributes: { perm: [1, 0, ...counts.map((_, i) => i + 2)] },
  });
}
