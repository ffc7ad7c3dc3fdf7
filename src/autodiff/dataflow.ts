/** What fusions are found in: how the values of a graph come about and who uses them. */
import type { GraphBuilder } from '../graph/builder.ts';
import type { GraphNode } from '../graph/types.ts';
import type { ValueInfo } from '../graph/values/types.ts';
import { scalarOf } from './gradient-rule.ts';

/** One group of nodes whose gradient is taken at once; it stands at the last of them. */
export interface Fusion {
  /** The value that the gradient goes to. */
  readonly source: string;
  /** Draws that gradient, given all elements of the last node's. */
  readonly gradient: (g: GraphBuilder, dy: ValueInfo) => ValueInfo;
}

/** The values of a graph by name: how they come about and who uses them. */
export interface Dataflow {
  readonly nodes: readonly GraphNode[];
  readonly producer: ReadonlyMap<string, GraphNode>;
  readonly consumers: ReadonlyMap<string, readonly GraphNode[]>;
  /** The number that a value is, when it is a constant without axes. */
  readonly scalar: (name: string) => number | undefined;
}

/** The dataflow among `nodes`, whose values `g` knows. */
export function dataflowOf(g: GraphBuilder, nodes: readonly GraphNode[]): Dataflow {
  const producer = new Map(
    nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)),
  );
  const consumers = new Map<string, GraphNode[]>();
  for (const node of nodes) {
    for (const name of new Set(node.inputs)) {
      const users = consumers.get(name);
      if (users === undefined) consumers.set(name, [node]);
      else users.push(node);
    }
  }
  return { nodes, producer, consumers, scalar: (name) => scalarOf(g, g.value(name)) };
}
