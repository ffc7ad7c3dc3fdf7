/** What execution providers take on and then cannot compute. */
import { decodeGraph } from '../graph/file/decode.ts';
import { stringAttribute } from '../graph/operators/operator.ts';
import type { Graph, GraphNode } from '../graph/types.ts';
import type { Device } from './device.ts';

/** Names of nodes that must be left to the CPU although `device` offers to compute them. */
export function nodesForCpu(model: Uint8Array, device: Device): readonly string[] {
  if (device !== 'webgpu') return [];
  const graph = decodeGraph(model);
  return graph.nodes.filter((node) => failsOnWebGpu(node, graph)).map(({ name }) => name);
}

/**
 * Whether a node fails when it runs on WebGPU. Nodes without a kernel go to the CPU by themselves.
 */
function failsOnWebGpu(
  { operator, inputs, outputs, attributes }: GraphNode,
  graph: Graph,
): boolean {
  // "The Indices output is not supported yet."
  if (operator === 'MaxPool') return outputs.length > 1;
  // "raw_hash_map<>::at": it does not know the axes behind an ellipsis.
  if (operator === 'Einsum') return stringAttribute({ attributes }, 'equation', '').includes('.');
  if (operator !== 'LayerNormalization') return false;
  // "Size of scale and bias must match": a scale of fewer axes is not repeated.
  const [rank = 0, scaleRank = 0] = inputs.map(
    (input) => graph.values.find(({ name }) => name === input)?.shape.length,
  );
  const axis = Number(attributes['axis'] ?? -1);
  return scaleRank !== (axis < 0 ? -axis : rank - axis);
}
