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

/** Names without axes that somebody gave; exporters name what they compute in other ways. */
const GIVEN_NAME = /^[a-z_]\w*(?:\.\w+)*$/i;

/** The initializers of a file that may be weights: of them, all that are finite numbers. */
export function weightsOf(file: GraphFile): readonly Tensor[] {
  return candidatesOf(file).filter(hasOnlyNumbers);
}

/**
 * The initializers of a file that are weights, or masks: what holds an infinity is a mask, which no
 * update would leave a mask. Without axes one counts if it has a name as parameters have them. The
 * numbers of Constant nodes stand in somebody's code, unless all weights are written so.
 */
export function candidatesOf({ initializers, literals, nodes }: GraphFile): readonly Tensor[] {
  const scales = new Set(
    nodes.flatMap(({ operator, inputs }) => (operator === 'Resize' ? inputs.slice(1) : [])),
  );
  const alike = initializers.filter(
    ({ name, type, shape, data }) =>
      type === 'float32' &&
      data.length > 0 &&
      (shape.length > 0 || GIVEN_NAME.test(name)) &&
      !scales.has(name),
  );
  const own = alike.filter(({ name }) => literals?.has(name) !== true);
  return own.length > 0 ? own : alike;
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
  for (const tensor of weightsOf(file)) {
    values.set(tensor.name, g.input(tensor.name, 'float32', tensor.shape));
  }
  const [output] = replayGraph(g, file, { prefix: '', values, ...(draw && { draw }) });
  if (output !== undefined) g.output(output.name, output);
  return g.build();
}
