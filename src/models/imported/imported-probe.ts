/** A network from a file, drawn once to see what it is made of. */
import { GraphBuilder } from '../../graph/builder.ts';
import { replayGraph, type ReplayOptions } from '../../graph/replay.ts';
import type { Graph, GraphFile } from '../../graph/types.ts';
import type { Shape, Tensor, ValueInfo } from '../../graph/values/types.ts';

/** The names of the file, unchanged, and its one input and output. */
export interface ImportedNetwork {
  readonly file: GraphFile;
  readonly input: ValueInfo;
  readonly output: ValueInfo;
}

/**
 * Whether an initializer may be a weight: scalars are factors that somebody wrote into the code,
 * and what holds an infinity is a mask, which no update would leave a mask.
 */
export function isWeight(tensor: Tensor): boolean {
  return isWeightLike(tensor) && hasOnlyNumbers(tensor);
}

/** Whether an initializer has the form of a weight, whatever its numbers are. */
export function isWeightLike({ type, shape, data }: Tensor): boolean {
  return type === 'float32' && shape.length > 0 && data.length > 0;
}

/** Whether every element is a finite number. */
export function hasOnlyNumbers({ data }: Tensor): boolean {
  for (const value of data) if (!Number.isFinite(Number(value))) return false;
  return true;
}

/**
 * Draws the forward pass at inference for an input of `shape`; every weight is an input, too.
 *
 * Throws: ShapeError or GraphError naming the node that such an input does not fit.
 */
export function probeNetwork(
  { file, input }: ImportedNetwork,
  shape: Shape,
  draw?: ReplayOptions['draw'],
): Graph {
  const g = new GraphBuilder(file.name);
  const values = new Map([[input.name, g.input(input.name, input.type, shape)]]);
  for (const tensor of file.initializers.filter(isWeight)) {
    values.set(tensor.name, g.input(tensor.name, 'float32', tensor.shape));
  }
  const [output] = replayGraph(g, file, { prefix: '', values, ...(draw && { draw }) });
  if (output !== undefined) g.output(output.name, output);
  return g.build();
}
