/** Builds graphs: one method per operator, shapes inferred at once, names that depend on nothing but the calls. */
import { GraphError } from '../base/errors.ts';
import { inferOutputs, type OperatorName } from './operators.ts';
import { formatShape, isSameShape, staticElementCount } from './shape.ts';
import type {
  Attributes,
  ElementType,
  Graph,
  GraphNode,
  Shape,
  Tensor,
  TensorData,
  ValueInfo,
} from './types.ts';

export interface GemmOptions {
  readonly alpha?: number;
  readonly beta?: number;
  readonly transA?: boolean;
  readonly transB?: boolean;
}

export interface ReductionOptions {
  /** Axes to fold; all of them when absent. */
  readonly axes?: readonly number[];
  /** Whether folded axes stay with size 1; false when absent. */
  readonly keepsAxes?: boolean;
}

/**
 * A graph in the making. Values are handles: what a method returns goes into the next one.
 *
 * A node is named after its scope and operator (`layers.0/Gemm`), with a number when that is taken, and its
 * output after the node. Every method throws ShapeError at the call that does not fit.
 */
export class GraphBuilder {
  readonly #name: string;
  readonly #inputs: ValueInfo[] = [];
  readonly #outputs = new Map<string, string>();
  readonly #initializers: Tensor[] = [];
  readonly #nodes: GraphNode[] = [];
  readonly #values = new Map<string, ValueInfo>();
  readonly #constants = new Map<string, TensorData>();
  readonly #constantsByContent = new Map<string, ValueInfo>();
  readonly #nodeNames = new Set<string>();
  #scope = '';

  constructor(name: string) {
    this.#name = name;
  }

  /** A builder that goes on where `graph` ends, with the same names and outputs. */
  static from(graph: Graph): GraphBuilder {
    const builder = new GraphBuilder(graph.name);
    for (const { name, type, shape } of graph.inputs) builder.input(name, type, shape);
    for (const { name, type, shape, data } of graph.initializers) {
      builder.initializer(name, type, shape, data);
    }
    for (const node of graph.nodes) builder.#append(node);
    for (const { name } of graph.outputs) builder.output(name, builder.value(name));
    return builder;
  }

  /** Declares an input of the graph. */
  input(name: string, type: ElementType, shape: Shape): ValueInfo {
    const value = this.#define({ name, type, shape });
    this.#inputs.push(value);
    return value;
  }

  /** Adds a named constant; the data is kept, not copied. */
  initializer(name: string, type: ElementType, shape: readonly number[], data: TensorData): ValueInfo {
    if (data.length !== staticElementCount(shape)) {
      throw new GraphError(
        `initializer ${name}: expected ${staticElementCount(shape)} elements for ${formatShape(shape)}, got ${data.length}`,
        { initializer: name },
      );
    }
    const value = this.#define({ name, type, shape });
    this.#initializers.push({ name, type, shape, data });
    this.#constants.set(name, data);
    return value;
  }

  /** A small constant without a name of its own; equal ones are shared. */
  constant(type: ElementType, shape: readonly number[], elements: readonly number[]): ValueInfo {
    const content = `${type} ${formatShape(shape)} ${elements.map((e) => (Object.is(e, -0) ? '-0' : e)).join(' ')}`;
    const known = this.#constantsByContent.get(content);
    if (known !== undefined) return known;
    const name = unused(`constant.${this.#constantsByContent.size}`, this.#values);
    const value = this.initializer(name, type, shape, makeTensorData(type, elements));
    this.#constantsByContent.set(content, value);
    return value;
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
    if (isTaken) throw new GraphError(`graph ${this.#name}: the name ${name} is taken`, { output: name });
    this.#outputs.set(name, this.value(value.name).name);
  }

  /** Applies an operator with one output; absent optional inputs are undefined. */
  apply(
    operator: OperatorName,
    inputs: readonly (ValueInfo | undefined)[],
    attributes: Attributes = {},
  ): ValueInfo {
    const name = unused(`${this.#scope}${operator}`, this.#nodeNames, this.#values);
    const [value] = this.#append({
      operator,
      name,
      inputs: inputs.map((input) => input?.name ?? ''),
      outputs: [name],
      attributes,
    });
    if (value === undefined)
      throw new GraphError(`${operator} at ${name}: no output`, { operator, node: name });
    return value;
  }

  gemm(a: ValueInfo, b: ValueInfo, c?: ValueInfo, options: GemmOptions = {}): ValueInfo {
    const { alpha = 1, beta = 1, transA = false, transB = false } = options;
    return this.apply('Gemm', c === undefined ? [a, b] : [a, b, c], {
      ...(alpha === 1 ? {} : { alpha }),
      ...(beta === 1 || c === undefined ? {} : { beta }),
      ...(transA ? { transA: 1 } : {}),
      ...(transB ? { transB: 1 } : {}),
    });
  }

  matMul(a: ValueInfo, b: ValueInfo): ValueInfo {
    return this.apply('MatMul', [a, b]);
  }

  add(a: ValueInfo, b: ValueInfo): ValueInfo {
    return this.apply('Add', [a, b]);
  }

  sub(a: ValueInfo, b: ValueInfo): ValueInfo {
    return this.apply('Sub', [a, b]);
  }

  mul(a: ValueInfo, b: ValueInfo): ValueInfo {
    return this.apply('Mul', [a, b]);
  }

  div(a: ValueInfo, b: ValueInfo): ValueInfo {
    return this.apply('Div', [a, b]);
  }

  neg(x: ValueInfo): ValueInfo {
    return this.apply('Neg', [x]);
  }

  sign(x: ValueInfo): ValueInfo {
    return this.apply('Sign', [x]);
  }

  relu(x: ValueInfo): ValueInfo {
    return this.apply('Relu', [x]);
  }

  tanh(x: ValueInfo): ValueInfo {
    return this.apply('Tanh', [x]);
  }

  sigmoid(x: ValueInfo): ValueInfo {
    return this.apply('Sigmoid', [x]);
  }

  /** max(0, min(1, alpha x + beta)) */
  hardSigmoid(x: ValueInfo, alpha: number, beta: number): ValueInfo {
    return this.apply('HardSigmoid', [x], { alpha, beta });
  }

  exp(x: ValueInfo): ValueInfo {
    return this.apply('Exp', [x]);
  }

  log(x: ValueInfo): ValueInfo {
    return this.apply('Log', [x]);
  }

  sqrt(x: ValueInfo): ValueInfo {
    return this.apply('Sqrt', [x]);
  }

  equal(a: ValueInfo, b: ValueInfo): ValueInfo {
    return this.apply('Equal', [a, b]);
  }

  greater(a: ValueInfo, b: ValueInfo): ValueInfo {
    return this.apply('Greater', [a, b]);
  }

  where(condition: ValueInfo, ifTrue: ValueInfo, ifFalse: ValueInfo): ValueInfo {
    return this.apply('Where', [condition, ifTrue, ifFalse]);
  }

  cast(x: ValueInfo, to: ElementType): ValueInfo {
    return x.type === to ? x : this.apply('Cast', [x], { to });
  }

  softmax(x: ValueInfo, axis = -1): ValueInfo {
    return this.apply('Softmax', [x], { axis });
  }

  logSoftmax(x: ValueInfo, axis = -1): ValueInfo {
    return this.apply('LogSoftmax', [x], { axis });
  }

  reduceSum(x: ValueInfo, { axes, keepsAxes = false }: ReductionOptions = {}): ValueInfo {
    return this.apply('ReduceSum', axes === undefined ? [x] : [x, this.ints(axes)], {
      keepdims: keepsAxes ? 1 : 0,
    });
  }

  reduceMean(x: ValueInfo, options: ReductionOptions = {}): ValueInfo {
    return this.apply('ReduceMean', [x], reductionAttributes(options));
  }

  reduceMax(x: ValueInfo, options: ReductionOptions = {}): ValueInfo {
    return this.apply('ReduceMax', [x], reductionAttributes(options));
  }

  /** Index of the greatest element along `axis`, which vanishes; the first one wins. */
  argMax(x: ValueInfo, axis = -1): ValueInfo {
    return this.apply('ArgMax', [x], { axis, keepdims: 0 });
  }

  reshape(x: ValueInfo, shape: readonly number[]): ValueInfo {
    return this.apply('Reshape', [x, this.ints(shape)]);
  }

  transpose(x: ValueInfo, permutation: readonly number[]): ValueInfo {
    return this.apply('Transpose', [x], { perm: permutation });
  }

  flatten(x: ValueInfo, axis = 1): ValueInfo {
    return this.apply('Flatten', [x], { axis });
  }

  unsqueeze(x: ValueInfo, axes: readonly number[]): ValueInfo {
    return this.apply('Unsqueeze', [x, this.ints(axes)]);
  }

  squeeze(x: ValueInfo, axes: readonly number[]): ValueInfo {
    return this.apply('Squeeze', [x, this.ints(axes)]);
  }

  expand(x: ValueInfo, shape: readonly number[]): ValueInfo {
    return this.apply('Expand', [x, this.ints(shape)]);
  }

  /** float32 [..., depth]: `on` at the index, 0 elsewhere; a row of zeros for an index outside. */
  oneHot(indices: ValueInfo, depth: number, on = 1): ValueInfo {
    const values = this.constant('float32', [2], [0, on]);
    return this.apply('OneHot', [indices, this.constant('int32', [], [depth]), values]);
  }

  gatherElements(data: ValueInfo, indices: ValueInfo, axis: number): ValueInfo {
    return this.apply('GatherElements', [data, indices], { axis });
  }

  /** `data` with `updates` added at `indices`. */
  scatterAdd(data: ValueInfo, indices: ValueInfo, updates: ValueInfo, axis: number): ValueInfo {
    return this.apply('ScatterElements', [data, indices, updates], { axis, reduction: 'add' });
  }

  /** The graph as data. Values that became outputs carry the outputs' names. */
  build(): Graph {
    const names = new Map<string, string>();
    const copies: [string, ValueInfo][] = [];
    for (const [name, from] of this.#outputs) {
      const value = this.value(from);
      if (name === from) continue;
      const canRename = !names.has(from) && !this.#outputs.has(from) && this.#isComputed(value);
      if (canRename) names.set(from, name);
      else copies.push([name, value]);
    }
    const renamed = (name: string): string => names.get(name) ?? name;
    const values = [...this.#values.values()].map((value) => ({ ...value, name: renamed(value.name) }));
    const nodes = this.#nodes.map((node) => ({
      ...node,
      inputs: node.inputs.map(renamed),
      outputs: node.outputs.map(renamed),
    }));
    for (const [name, value] of copies) {
      nodes.push({
        operator: 'Identity',
        name,
        inputs: [renamed(value.name)],
        outputs: [name],
        attributes: {},
      });
      values.push({ ...value, name });
    }
    const outputs = [...this.#outputs].map(([name, from]) => ({ ...this.value(from), name }));
    return {
      name: this.#name,
      inputs: [...this.#inputs],
      outputs,
      initializers: [...this.#initializers],
      nodes,
      values,
    };
  }

  #isComputed({ name }: ValueInfo): boolean {
    return !this.#constants.has(name) && !this.#inputs.some((input) => input.name === name);
  }

  #append(node: GraphNode): readonly ValueInfo[] {
    const inputs = node.inputs.map((name) => {
      if (name === '') return undefined;
      const { type, shape } = this.value(name);
      const constant = this.#constants.get(name);
      return constant === undefined ? { type, shape } : { type, shape, constant };
    });
    const { operator, name, attributes } = node;
    const types = inferOutputs({ operator, name, inputs, attributes });
    this.#nodes.push(node);
    this.#nodeNames.add(name);
    return types.map((type, index) => this.#define({ name: node.outputs[index] ?? '', ...type }));
  }

  #define(value: ValueInfo): ValueInfo {
    if (value.name === '' || this.#values.has(value.name)) {
      throw new GraphError(`graph ${this.#name}: the name "${value.name}" is empty or taken`, {
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

function reductionAttributes({ axes, keepsAxes = false }: ReductionOptions): Attributes {
  return { ...(axes === undefined ? {} : { axes }), keepdims: keepsAxes ? 1 : 0 };
}

function unused(name: string, ...taken: readonly { has(name: string): boolean }[]): string {
  for (let count = 0; ; count++) {
    const candidate = count === 0 ? name : `${name}_${count}`;
    if (taken.every((names) => !names.has(candidate))) return candidate;
  }
}
