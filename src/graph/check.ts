/** The last look at a graph before it is loaded or sent. */
import { GraphError, LockstepError } from '../base/errors.ts';
import { GraphBuilder } from './builder.ts';
import { isOperatorName } from './operators/operators.ts';
import { elementCount, formatShape, isSameShape } from './values/shape.ts';
import { type Graph } from './types.ts';
import { ELEMENT_TYPES, type ValueInfo } from './values/types.ts';

/** Limits of a check. */
export interface CheckOptions {
  /**
   * Most bytes that all values together may take, symbolic sizes counted as 1; 16 GiB when absent.
   */
  readonly maxBytes?: number;
}

/**
 * Returns when the graph is sound: nodes in topological order, every input
 * defined before its use, no name twice, only operators of the standard domain
 * that we know, with their attributes, and all shapes as they follow from the
 * inputs. Data lies inside by construction: a Graph cannot name a file.
 *
 * Throws: GraphError or ShapeError naming the node or value that is not.
 */
export function checkGraph(graph: Graph, { maxBytes = 16 * 2 ** 30 }: CheckOptions = {}): void {
  checkNodes(graph);
  const rebuilt = rebuild(graph);
  const inferred = new Map(rebuilt.values.map((value) => [value.name, value]));
  for (const value of [...graph.values, ...graph.outputs])
    checkValue(graph, value, inferred.get(value.name));
  if (graph.values.length !== rebuilt.values.length) {
    throw new GraphError(
      `graph ${graph.name}: expected ${rebuilt.values.length} values, got ${graph.values.length}`,
    );
  }
  const bytes = graph.values.reduce((sum, value) => sum + bytesOf(value), 0);
  if (bytes > maxBytes) {
    throw new GraphError(
      `graph ${graph.name}: expected ${maxBytes} bytes of values at most, got ${bytes}`,
      { bytes, maxBytes },
    );
  }
}

function checkNodes(graph: Graph): void {
  const names = new Set<string>();
  for (const { name, operator } of graph.nodes) {
    if (!isOperatorName(operator)) {
      throw new GraphError(`${String(operator)} at ${name}: not an operator that we know`, {
        node: name,
      });
    }
    if (name === '' || names.has(name)) {
      throw new GraphError(
        `graph ${graph.name}: expected distinct node names, got "${name}" again`,
        { node: name },
      );
    }
    names.add(name);
  }
}

function rebuild(graph: Graph): Graph {
  try {
    return GraphBuilder.from(graph).build();
  } catch (error) {
    if (error instanceof LockstepError) throw error;
    throw new GraphError(`graph ${graph.name}: malformed`, {}, { cause: error });
  }
}

function checkValue(graph: Graph, value: ValueInfo, inferred: ValueInfo | undefined): void {
  if (inferred?.type === value.type && isSameShape(inferred.shape, value.shape)) return;
  const expected = inferred ? `${inferred.type} ${formatShape(inferred.shape)}` : 'no such value';
  throw new GraphError(
    `graph ${graph.name}, value ${value.name}: expected ${expected}, got ${value.type} ` +
      formatShape(value.shape),
    { value: value.name },
  );
}

function bytesOf({ type, shape }: ValueInfo): number {
  const known = shape.filter((size) => typeof size === 'number');
  return ELEMENT_TYPES[type].bytes * (elementCount(known) ?? 0);
}
