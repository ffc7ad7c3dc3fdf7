/**
 * Draws the nodes of a file into a graph that is being built, with constants computed on the way.
 */
import { GraphError } from '../base/errors.ts';
import type { GraphBuilder } from './builder.ts';
import { foldConstants } from './fold-constants.ts';
import type { Constant } from './folder.ts';
import type { OperatorInput } from './operators/operator.ts';
import type { GraphFile, GraphNode } from './types.ts';
import type { ValueInfo } from './values/types.ts';

/**
 * Elements of all constants that one drawing may compute: so many, and so many times those of the
 * file. Real files need far fewer.
 */
const FOLDED_ELEMENTS = 2 ** 26;
const FOLDED_PER_ELEMENT = 8;

/** How a file is drawn into a graph. */
export interface ReplayOptions {
  /** Stands before every name of the file, so that none meets a name of the graph. */
  readonly prefix: string;
  /** What stands for inputs and initializers of the file; the other initializers are constants. */
  readonly values: ReadonlyMap<string, ValueInfo>;
  /** Draws a node in a way of its own, giving its one output; undefined: as it stands. */
  readonly draw?: (node: GraphNode, inputs: ReplayInputs) => ValueInfo | undefined;
}

/** The inputs of a node that is being drawn, each undefined when it is absent. */
export interface ReplayInputs {
  /** The input as a value of the graph. */
  readonly value: (index: number) => ValueInfo | undefined;
  /** The input as elements, if it is a constant. */
  readonly constant: (index: number) => Constant | undefined;
}

/**
 * Adds the computation of `file` to `g` and gives its outputs, in their order.
 *
 * What can be computed from constants and sizes is computed, and Identity and Dropout pass their
 * input on: the graph holds only what depends on the values.
 * Throws: ShapeError or GraphError naming the node that does not fit.
 */
export function replayGraph(g: GraphBuilder, file: GraphFile, options: ReplayOptions): ValueInfo[] {
  const replay = new Replay(g, file, options);
  for (const node of file.nodes) replay.node(node);
  return file.outputs.map(({ name }) => replay.value(name));
}

/** Operators that do nothing at inference; in training `draw` says otherwise. */
const PASSING_ON: ReadonlySet<string> = new Set(['Identity', 'Dropout']);

class Replay {
  readonly #g: GraphBuilder;
  readonly #options: ReplayOptions;
  /** What every name of the file stands for; a constant enters the graph when a node takes it. */
  readonly #known = new Map<string, ValueInfo | Constant>();
  #foldable: number;

  constructor(g: GraphBuilder, file: GraphFile, options: ReplayOptions) {
    this.#g = g;
    this.#options = options;
    const elements = file.initializers.reduce((count, { data }) => count + data.length, 0);
    this.#foldable = FOLDED_ELEMENTS + FOLDED_PER_ELEMENT * elements;
    for (const { name, ...constant } of file.initializers) this.#known.set(name, constant);
    for (const [name, value] of options.values) this.#known.set(name, value);
  }

  node(node: GraphNode): void {
    const [output = ''] = node.outputs;
    const drawn = this.#options.draw?.(node, this.#inputsOf(node));
    if (drawn !== undefined) this.#known.set(output, drawn);
    else if (PASSING_ON.has(node.operator)) this.#known.set(output, this.#of(node.inputs[0] ?? ''));
    else if (!this.#fold(node, output)) this.#append(node);
  }

  /** The value of the graph that a name of the file stands for. */
  value(name: string): ValueInfo {
    const known = this.#of(name);
    if ('name' in known) return known;
    const value = this.#g.initializer(
      this.#options.prefix + name,
      known.type,
      known.shape,
      known.data,
    );
    this.#known.set(name, value);
    return value;
  }

  #of(name: string): ValueInfo | Constant {
    const known = this.#known.get(name);
    if (known === undefined)
      throw new GraphError(`nothing makes the value ${name}`, { value: name });
    return known;
  }

  #described(name: string): OperatorInput {
    const known = this.#of(name);
    if ('data' in known) return { type: known.type, shape: known.shape, constant: known.data };
    const constant = this.#g.constantOf(known);
    return { type: known.type, shape: known.shape, ...(constant && { constant }) };
  }

  #inputsOf(node: GraphNode): ReplayInputs {
    const at = (index: number): ValueInfo | Constant | undefined => {
      const input = node.inputs[index] ?? '';
      return input === '' ? undefined : this.#of(input);
    };
    return {
      value: (index) => at(index) && this.value(node.inputs[index] ?? ''),
      constant(index) {
        const known = at(index);
        return known && 'data' in known ? known : undefined;
      },
    };
  }

  /** Computes the node if it can be; says whether it was. */
  #fold(node: GraphNode, output: string): boolean {
    const { operator, name, attributes } = node;
    const inputs = node.inputs.map((input) => (input === '' ? undefined : this.#described(input)));
    const constant = foldConstants({ operator, name, attributes, inputs });
    if (constant === undefined) return false;
    this.#foldable -= constant.data.length;
    if (this.#foldable < 0) {
      throw new GraphError(
        `${operator} at ${name}: the constants that the file computes are too many`,
        { operator, node: name },
      );
    }
    this.#known.set(output, constant);
    return true;
  }

  #append(node: GraphNode): void {
    const { prefix } = this.#options;
    const outputs = this.#g.append({
      ...node,
      name: prefix + node.name,
      inputs: node.inputs.map((input) => (input === '' ? '' : this.value(input).name)),
      outputs: node.outputs.map((output) => (output === '' ? '' : prefix + output)),
    });
    const named = node.outputs.filter((output) => output !== '');
    for (const [index, output] of outputs.entries()) this.#known.set(named[index] ?? '', output);
  }
}
