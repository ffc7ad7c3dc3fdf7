/**
 * Builds graphs: one method per operator. Here: products, convolution, normalisation, reductions.
 */
import { SelectionBuilder } from './selection-builder.ts';
import type { GraphFile, GraphNode } from './types.ts';
import type { Attributes, ValueInfo } from './values/types.ts';

/** Attributes of a Gemm; factors are 1 and nothing is transposed when absent. */
export interface GemmOptions {
  readonly alpha?: number;
  readonly beta?: number;
  readonly transA?: boolean;
  readonly transB?: boolean;
}

/** Numbers per spatial axis; pads are all begins, then all ends. Strides 1 and pads 0 if absent. */
interface WindowOptions {
  readonly strides?: readonly number[];
  readonly pads?: readonly number[];
}

/** A window of a convolution; one group of channels when absent. */
export interface ConvOptions extends WindowOptions {
  readonly dilations?: readonly number[];
  readonly group?: number;
}

/** A window of a transposed convolution. */
export interface ConvTransposeOptions extends ConvOptions {
  /**
   * Elements more at the end of each axis: which of the sizes that a stride maps to one is meant.
   */
  readonly outputPadding?: readonly number[];
}

/** A window of a pooling, with one size per spatial axis. */
export interface PoolOptions extends WindowOptions {
  readonly kernel: readonly number[];
}

/** What a layer normalisation goes over. */
export interface LayerNormalizationOptions {
  /** The first of the axes that are normalised together; the last one when absent. */
  readonly axis?: number;
  /** Added to the variance; 1e-5 when absent. */
  readonly epsilon?: number;
}

/** What a reduction folds. */
export interface ReductionOptions {
  /** Axes to fold; all of them when absent. */
  readonly axes?: readonly number[];
  /** Whether folded axes stay with size 1; false when absent. */
  readonly keepsAxes?: boolean;
}

/**
 * A graph in the making, by operator. Values are
 * handles: what a method returns goes into the next one.
 *
 * Every method infers the shape of its result and throws ShapeError when the inputs do not fit.
 */
export class GraphBuilder extends SelectionBuilder {
  /**
   * A builder that goes on where `graph` ends, with the same names and outputs; `append` may draw a
   * node in another way.
   */
  static from(
    graph: GraphFile,
    append: (builder: GraphBuilder, node: GraphNode) => void = (builder, node) =>
      void builder.append(node),
  ): GraphBuilder {
    const builder = new GraphBuilder(graph.name);
    for (const { name, type, shape } of graph.inputs) builder.input(name, type, shape);
    for (const { name, type, shape, data } of graph.initializers) {
      builder.initializer(name, type, shape, data);
    }
    for (const node of graph.nodes) append(builder, node);
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

  /** x [B, C, ...], weight [M, C / group, ...kernel], bias [M] -> [B, M, ...] */
  conv(x: ValueInfo, weight: ValueInfo, bias?: ValueInfo, options: ConvOptions = {}): ValueInfo {
    return this.apply('Conv', bias ? [x, weight, bias] : [x, weight], convAttributes(options));
  }

  /** x [B, C, ...], weight [C, M / group, ...kernel], bias [M] -> [B, M, ...] */
  convTranspose(
    x: ValueInfo,
    weight: ValueInfo,
    bias?: ValueInfo,
    { outputPadding, ...options }: ConvTransposeOptions = {},
  ): ValueInfo {
    return this.apply('ConvTranspose', bias ? [x, weight, bias] : [x, weight], {
      ...convAttributes(options),
      ...(outputPadding && { output_padding: outputPadding }),
    });
  }

  maxPool(x: ValueInfo, options: PoolOptions): ValueInfo {
    return this.apply('MaxPool', [x], poolAttributes(options));
  }

  /** A tensor of `shape` with `values` at `indices`, zeros elsewhere: a MaxPool backwards. */
  maxUnpool(
    values: ValueInfo,
    indices: ValueInfo,
    shape: readonly number[],
    kernel: readonly number[],
  ): ValueInfo {
    return this.apply('MaxUnpool', [values, indices, this.ints(shape)], { kernel_shape: kernel });
  }

  /** Padding counts as zeros, as in PyTorch. */
  averagePool(x: ValueInfo, options: PoolOptions): ValueInfo {
    return this.apply('AveragePool', [x], { ...poolAttributes(options), count_include_pad: 1 });
  }

  /** [B, C, ...] -> [B, C, 1, ...] */
  globalAveragePool(x: ValueInfo): ValueInfo {
    return this.apply('GlobalAveragePool', [x]);
  }

  /**
   * scale (x - mean) / sqrt(variance + epsilon) + bias, per channel: x [B, C, ...], the others [C].
   */
  batchNormalization(
    x: ValueInfo,
    scale: ValueInfo,
    bias: ValueInfo,
    mean: ValueInfo,
    variance: ValueInfo,
    { epsilon = 1e-5 }: { readonly epsilon?: number } = {},
  ): ValueInfo {
    return this.apply('BatchNormalization', [x, scale, bias, mean, variance], { epsilon });
  }

  /** `x` with `value` around it: per axis all begins, then all ends; negative pads cut. */
  pad(x: ValueInfo, pads: readonly number[], value = 0): ValueInfo {
    return this.apply(
      'Pad',
      value === 0 ? [x, this.ints(pads)] : [x, this.ints(pads), this.scalar(value)],
    );
  }

  softmax(x: ValueInfo, axis = -1): ValueInfo {
    return this.apply('Softmax', [x], { axis });
  }

  logSoftmax(x: ValueInfo, axis = -1): ValueInfo {
    return this.apply('LogSoftmax', [x], { axis });
  }

  /**
   * scale (x - mean) / sqrt(variance + epsilon) + bias, with mean and variance over the axes from
   * `axis` on, which are those of scale and bias.
   */
  layerNormalization(
    x: ValueInfo,
    scale: ValueInfo,
    bias?: ValueInfo,
    { axis = -1, epsilon = 1e-5 }: LayerNormalizationOptions = {},
  ): ValueInfo {
    // All three outputs, because its gradient is made from the statistics.
    return this.applyAll('LayerNormalization', bias ? [x, scale, bias] : [x, scale], 3, {
      axis,
      epsilon,
    })[0];
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

  reduceMin(x: ValueInfo, options: ReductionOptions = {}): ValueInfo {
    return this.apply('ReduceMin', [x], reductionAttributes(options));
  }

  /** Index of the greatest element along `axis`, which vanishes; the first one wins. */
  argMax(x: ValueInfo, axis = -1): ValueInfo {
    return this.apply('ArgMax', [x], { axis, keepdims: 0 });
  }
}

function reductionAttributes({ axes, keepsAxes = false }: ReductionOptions): Attributes {
  return { ...(axes === undefined ? {} : { axes }), keepdims: keepsAxes ? 1 : 0 };
}

function windowAttributes({ strides, pads }: WindowOptions): Attributes {
  return { ...(strides && { strides }), ...(pads && { pads }) };
}

function convAttributes({ dilations, group, ...window }: ConvOptions): Attributes {
  return {
    ...windowAttributes(window),
    ...(dilations && { dilations }),
    ...(group !== undefined && { group }),
  };
}

function poolAttributes({ kernel, ...window }: PoolOptions): Attributes {
  return { kernel_shape: kernel, ...windowAttributes(window) };
}
