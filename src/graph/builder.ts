/** Builds graphs: one method per operator. */
import { GraphAssembly } from './graph-assembly.ts';
import type { Attributes, ElementType, Graph, ValueInfo } from './types.ts';

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
 * A graph in the making, by operator. Values are handles: what a method returns goes into the next one.
 *
 * Every method infers the shape of its result and throws ShapeError when the inputs do not fit.
 */
export class GraphBuilder extends GraphAssembly {
  /** A builder that goes on where `graph` ends, with the same names and outputs. */
  static from(graph: Graph): GraphBuilder {
    const builder = new GraphBuilder(graph.name);
    for (const { name, type, shape } of graph.inputs) builder.input(name, type, shape);
    for (const { name, type, shape, data } of graph.initializers) {
      builder.initializer(name, type, shape, data);
    }
    for (const node of graph.nodes) builder.append(node);
    for (const { name } of graph.outputs) builder.output(name, builder.value(name));
    return builder;
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
}

function reductionAttributes({ axes, keepsAxes = false }: ReductionOptions): Attributes {
  return { ...(axes === undefined ? {} : { axes }), keepdims: keepsAxes ? 1 : 0 };
}
