/** How much a graph computes. */
import { invariant } from '../base/errors.ts';
import { staticElementCount } from './values/shape.ts';
import type { Graph, GraphNode } from './types.ts';

/**
 * Multiplications and additions in the products of matrices and the convolutions of a graph. What
 * else it computes is small beside them, but for Einsum, which is not counted. All shapes must be
 * numbers.
 */
export function operationCount(graph: Graph): number {
  const shapes = new Map(graph.values.map(({ name, shape }) => [name, shape.map(Number)]));
  const shapeOf = (name: string | undefined): readonly number[] => {
    const shape = shapes.get(name ?? '');
    invariant(shape !== undefined, `${name} has a shape`);
    return shape;
  };
  return graph.nodes.reduce((sum, node) => sum + operationsOf(node, shapeOf), 0);
}

function operationsOf(
  { operator, inputs: [left, right], outputs: [result], attributes }: GraphNode,
  shapeOf: (name: string | undefined) => readonly number[],
): number {
  switch (operator) {
    case 'MatMul':
      return 2 * staticElementCount(shapeOf(result)) * (shapeOf(left).at(-1) ?? 1);
    case 'Gemm': {
      const inner = shapeOf(left)[attributes['transA'] === 1 ? 0 : 1] ?? 1;
      return 2 * staticElementCount(shapeOf(result)) * inner;
    }
    case 'Conv': {
      const [, ...filter] = shapeOf(right); // [C out, C in / groups, kH, kW]
      return 2 * staticElementCount(shapeOf(result)) * staticElementCount(filter);
    }
    case 'ConvTranspose': {
      const [, ...filter] = shapeOf(right); // [C in, C out / groups, kH, kW]
      return 2 * staticElementCount(shapeOf(left)) * staticElementCount(filter);
    }
    default:
      return 0;
  }
}
