/** Puts graphs together, whatever their operators: names, shapes, constants, outputs. */
import { GraphError } from '../base/errors.ts';
import { attributeKind, inferOutputs, type OperatorName } from './operators/operators.ts';
import { formatShape, shapeProblem, staticElementCount } from './values/shape.ts';
import type { Graph, GraphNode } from './types.ts';
import type {
  Attributes,
  ElementType,
  Shape,
  Tensor,
  TensorData,
  ValueInfo,
} from './values/types.ts';

/** Constants up to this many elements are shared when they are equal. */
const MAX_SHARED_ELEMENTS = 2 ** 14;

/** One character per byte, no two bytes alike. */
const BYTES_AS_TEXT = new TextDecoder('latin1');

/**
 * A graph in the making. Values are handles: what a method returns goes into the next one.
 *
 * A node is named after its scope and operator (`layers.0/Gemm`), with a number when that is taken,
 * and its output after the node. Every method throws ShapeError at the call that does not fit.
 */
export class GraphAssembly {
  readonly #name: string;
  readonly #inputs: ValueInfo[] = [];
  readonly #outputs = new Map<string, string>();
  readonly #initializers: Tensor[] = [];
  readonly #nodes: GraphNode[] = [];
  readonly #values = new Map<string, ValueInfo>();
  readonly #constants = new Map<string, TensorData>();
  readonly #constantsByContent = new Map<string, ValueInfo>();
  readonly #anonymous = new Set<string>();
  readonly #nodeNames = new Set<string>();
  #scope = '';

  constructor(name: string) {
    this.#name = name;
  }

  /** Declares an input of the graph. */
  input(name: string, type: ElementType, shape: Shape): ValueInfo {
    const value = this.#define({ name, type, shape });
    this.#inputs.push(value);
    return value;
  }

  /** Adds a named constant; the data is kept, not copied. */
  initializer(
    name: string,
    type: ElementType,
    shape: readonly number[],
    data: TensorData,
  ): ValueInfo {
    if (data.length !== staticElementCount(shape)) {
      throw new GraphError(
        `initializer ${name}: expected ${staticElementCount(shape)} elements for ` +
          `${formatShape(shape)}, got ${data.length}`,
        { initializer: name },
      );
    }
    const value = this.#define({ name, type, shape });
    this.#initializers.push({ name, type, shape, data });
    this.#constants.set(name, data);
    if (data.length <= MAX_SHARED_ELEMENTS)
      this.#constantsByContent.set(contentOf(type, shape, data), value);
    return value;
  }

  /**
   * A small constant without a name of its own; equal ones
   * are shared, and one that nothing uses is left out.
   */
  constant(type: ElementType, shape: readonly number[], elements: readonly number[]): ValueInfo {
    const data = makeTensorData(type, elements);
    const known = this.#constantsByContent.get(contentOf(type, shape, data));
    if (known !== undefined) return known;
    const name = unused(`constant.${this.#initializers.length}`, this.#values);
    this.#anonymous.add(name);
    return this.initializer(name, type, shape, data);
  }

  /** A float32 scalar, shape []. */
  scalar(value: number): ValueInfo {
    return this.constant('float32', [], [value]);
  }

  /** An int64 list, shape [length]: axes and target shapes. */
  ints(values: readonly number[]): ValueInfo {
    return this.constant('int64', [values.length], values);
  }

  /** The value called `name`. */
  value(name: string): ValueInfo {
    const value = this.#values.get(name);
    if (value === undefined)
      throw new GraphError(`graph ${this.#name}: there is no value ${name}`, { value: name });
    return value;
  }

  /** The elements of a value that is a constant. */
  constantOf(value: ValueInfo): TensorData | undefined {
    return this.#constants.get(value.name);
  }

  /** Names all nodes that `action` adds after `scope`; scopes nest. */
  within<T>(scope: string, action: () => T): T {
    const outer = this.#scope;
    this.#scope = `${outer}${scope}/`;
    try {
      return action();
    } finally {
      this.#scope = outer;
    }
  }

  /** Makes `value` an output of the graph, called `name`. */
  output(name: string, value: ValueInfo): void {
    const isTaken = this.#outputs.has(name) || (this.#values.has(name) && name !== value.name);
    if (isTaken)
      throw new GraphError(`graph ${this.#name}: the name ${name} is taken`, { output: name });
    this.#outputs.set(name, this.value(value.name).name);
  }

  /** Applies an operator and returns its first output; absent optional inputs are undefined. */
  apply(
    operator: OperatorName,
    inputs: readonly (ValueInfo | undefined)[],
    attributes: Attributes = {},
  ): ValueInfo {
    return this.applyAll(operator, inputs, 1, attributes)[0];
  }

  /**
   * Applies an operator and returns its first `count` outputs; those behind the first have a number
   * in their names.
   */
  applyAll(
    operator: OperatorName,
    inputs: readonly (ValueInfo | undefined)[],
    count: number,
    attributes: Attributes = {},
  ): readonly [ValueInfo, ...ValueInfo[]] {
    const name = unused(`${this.#scope}${operator}`, this.#nodeNames, this.#values, this.#outputs);
    const [first, ...rest] = this.append({
      operator,
      name,
      inputs: inputs.map((input) => input?.name ?? ''),
      outputs: Array.from({ length: count }, (_, i) =>
        i === 0 ? name : unused(`${name}.${i}`, this.#values, this.#outputs),
      ),
      attributes,
    });
    if (first === undefined)
      throw new GraphError(`${operator} at ${name}: no output`, { operator, node: name });
    return [first, ...rest];
  }

  /** Adds a node as it stands and returns its outputs; `apply` is the convenient form. */
  append(node: GraphNode): readonly ValueInfo[] {
    const inputs = node.inputs.map((name) => {
      if (name === '') return undefined;
      const { type, shape } = this.value(name);
      const constant = this.#constants.get(name);
      return constant === undefined ? { type, shape } : { type, shape, constant };
    });
    const { operator, name, attributes } = node;
    const types = inferOutputs({
      operator,
      name,
      inputs,
      attributes,
      outputCount: node.outputs.length,
    });
    if (node.outputs.length > types.length) {
      throw new GraphError(
        `${operator} at ${name}: expected at most ${types.length} outputs, got ` +
          `${node.outputs.length}`,
        { operator, node: name },
      );
    }
    this.#nodes.push({ ...node, attributes: asStored(operator, attributes) });
    this.#nodeNames.add(name);
    return node.outputs.flatMap((output, i) =>
      types[i] && output !== '' ? [this.#define({ name: output, ...types[i] })] : [],
    );
  }

  /** The graph as data. Values that became outputs carry the outputs' names. */
  build(): Graph {
    const names = new Map<string, string>();
    const copies: [from: string, name: string][] = [];
    for (const [name, from] of this.#outputs) {
      const value = this.value(from);
      if (name === from) continue;
      const canRename = !names.has(from) && !this.#outputs.has(from) && this.#isComputed(value);
      if (canRename) names.set(from, name);
      else copies.push([from, name]);
    }
    const nodes = [...this.#nodes, ...copies.map(copyNode)].map((node) =>
      renameValues(node, names),
    );
    const used = new Set([...nodes.flatMap(({ inputs }) => inputs), ...this.#outputs.keys()]);
    const initializers = this.#initializers.filter(
      ({ name }) => !this.#anonymous.has(name) || used.has(name),
    );
    const original = new Map([...names, ...copies].map(([from, name]) => [name, from]));
    const typed = (name: string): ValueInfo => ({
      ...this.value(original.get(name) ?? name),
      name,
    });
    return {
      name: this.#name,
      inputs: [...this.#inputs],
      outputs: [...this.#outputs.keys()].map(typed),
      initializers,
      nodes,
      values: [
        ...this.#inputs,
        ...initializers.map(({ name, type, shape }) => ({ name, type, shape })),
        ...nodes.flatMap(({ outputs }) => outputs.filter((name) => name !== '').map(typed)),
      ],
    };
  }

  #isComputed({ name }: ValueInfo): boolean {
    return !this.#constants.has(name) && !this.#inputs.some((input) => input.name === name);
  }

  #define(value: ValueInfo): ValueInfo {
    const problem =
      value.name === ''
        ? 'a value needs a name'
        : this.#values.has(value.name) || this.#outputs.has(value.name)
          ? 'the name is taken'
          : shapeProblem(value.shape);
    if (problem !== undefined) {
      throw new GraphError(`graph ${this.#name}, value "${value.name}": ${problem}`, {
        value: value.name,
      });
    }
    this.#values.set(value.name, value);
    return value;
  }
}

/** Elements as the typed array of `type`. */
export function makeTensorData(type: ElementType, elements: readonly number[]): TensorData {
  if (type === 'float32') return Float32Array.from(elements);
  if (type === 'int32') return Int32Array.from(elements);
  if (type === 'int64') return BigInt64Array.from(elements, BigInt);
  return Uint8Array.from(elements);
}

/** Attributes with the numbers that a file can hold: float32. */
function asStored(operator: OperatorName, attributes: Attributes): Attributes {
  const entries = Object.entries(attributes).map(([name, value]) => {
    const isFloat = typeof value === 'number' && attributeKind(operator, name) === 'float';
    return [name, isFloat ? Math.fround(value) : value] as const;
  });
  return Object.fromEntries(entries);
}

/** Equal for constants that are the same to the last bit. */
function contentOf(type: ElementType, shape: readonly number[], data: TensorData): string {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return `${type} ${formatShape(shape)} ${BYTES_AS_TEXT.decode(bytes)}`;
}

/** A second name for a value that cannot be renamed, as a node. */
function copyNode([from, name]: readonly [string, string]): GraphNode {
  return { operator: 'Identity', name, inputs: [from], outputs: [name], attributes: {} };
}

function renameValues(node: GraphNode, names: ReadonlyMap<string, string>): GraphNode {
  const renamed = (name: string): string => names.get(name) ?? name;
  return { ...node, inputs: node.inputs.map(renamed), outputs: node.outputs.map(renamed) };
}

function unused(name: string, ...taken: readonly { has(name: string): boolean }[]): string {
  for (let count = 0; ; count++) {
    const candidate = count === 0 ? name : `${name}_${count}`;
    if (taken.every((names) => !names.has(candidate))) return candidate;
  }
}
