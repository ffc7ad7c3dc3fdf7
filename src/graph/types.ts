/**
 * An ONNX graph as plain readonly data: what is built, differentiated, encoded, sent and printed.
 */
import type { OperatorName } from './operators/operators.ts';
import type { Attributes, Tensor, ValueInfo } from './values/types.ts';

/** One operator application. An empty input name stands for an optional input that is absent. */
export interface GraphNode {
  readonly operator: OperatorName;
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Attributes;
}

/**
 * A computation: nodes in topological order.
 *
 * `values` holds all inputs, initializers and node outputs, in order of definition.
 */
export interface Graph {
  readonly name: string;
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  readonly initializers: readonly Tensor[];
  readonly nodes: readonly GraphNode[];
  readonly values: readonly ValueInfo[];
}

/** A graph before its shapes are inferred, and what else an `.onnx` file holds. */
export interface GraphFile extends Omit<Graph, 'values'> {
  /**
   * Names of the initializers that are Constant nodes in the file: numbers that stand in somebody's
   * code, where weights are initializers.
   */
  readonly literals?: ReadonlySet<string>;
  /** What the file says of itself (`metadata_props`), by name. */
  readonly metadata?: ReadonlyMap<string, string>;
}
