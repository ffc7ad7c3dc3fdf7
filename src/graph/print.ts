/** Graphs as text, for tests and error reports. */
import { formatShape } from './values/shape.ts';
import type { Graph, GraphNode } from './types.ts';
import type { AttributeValue, Tensor, ValueInfo } from './values/types.ts';

const MAX_SHOWN_ELEMENTS = 8;

/**
 * The graph as text, one line per value:
 *
 *     graph mlp(x: float32 [32, 784], y: int32 [32])
 *       constant.0: int64 [1] = {1}
 *       layers.0/Gemm: float32 [32, 10] = Gemm(x, layers.0.weight, transB=1)
 *       return layers.0/Gemm
 *
 * A node's name stands before its operator when it differs from its output's.
 */
export function printGraph(graph: Graph): string {
  const values = new Map(graph.values.map((value) => [value.name, value]));
  return [
    `graph ${graph.name}(${graph.inputs.map(printValue).join(', ')})`,
    ...graph.initializers.map((tensor) => `  ${printValue(tensor)} = ${printElements(tensor)}`),
    ...graph.nodes.map((node) => `  ${printNode(node, values)}`),
    `  return ${graph.outputs.map(({ name }) => name).join(', ')}`,
  ].join('\n');
}

function printValue({ name, type, shape }: ValueInfo): string {
  return `${name}: ${type} ${formatShape(shape)}`;
}

function printNode(node: GraphNode, values: ReadonlyMap<string, ValueInfo>): string {
  const outputs = node.outputs.map((name) => {
    const value = values.get(name);
    return value === undefined ? '-' : printValue(value);
  });
  const attributes = Object.entries(node.attributes)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${printAttribute(value)}`);
  const inputs = node.inputs.map((name) => (name === '' ? '-' : name));
  const label = node.outputs[0] === node.name ? '' : `${node.name}: `;
  const operands = [...inputs, ...attributes].join(', ');
  return `${outputs.join(', ')} = ${label}${node.operator}(${operands})`;
}

function printAttribute(value: AttributeValue): string {
  if (typeof value !== 'object') return String(value);
  return 'data' in value ? printElements(value) : `[${value.join(', ')}]`;
}

function printElements({ data }: Tensor): string {
  const shown = Array.from(data.subarray(0, MAX_SHOWN_ELEMENTS), String);
  const rest = data.length > shown.length ? [`... ${data.length} elements`] : [];
  return `{${[...shown, ...rest].join(', ')}}`;
}
