/** The vocabulary of the model pages: layers with their own parameters, named as in PyTorch. */
import { drawBatchStatistics } from '../autodiff/batch-statistics.ts';
import { invariant } from '../base/errors.ts';
import { GraphBuilder } from '../graph/builder.ts';
import { elementCount, isStatic } from '../graph/values/shape.ts';
import type { ValueInfo } from '../graph/values/types.ts';
import type { ForwardPass, Model, ModelTask, ParameterInit, ParameterSpec } from './model.ts';

/**
 * A model from one function that draws its forward pass. Parameters are what that function asks
 * for, in the order in which it asks.
 */
export function defineModel(
  name: string,
  task: ModelTask,
  draw: (net: Net, x: ValueInfo) => ValueInfo,
): Model {
  const forward = (pass: ForwardPass, x: ValueInfo): ValueInfo => draw(new Net(pass), x);
  return { ...task, name, parameters: parametersOf(task, forward), forward };
}

/** What a forward pass asks for, found by drawing it once. */
function parametersOf(task: ModelTask, forward: Model['forward']): ParameterSpec[] {
  const g = new GraphBuilder('parameters');
  const specs: ParameterSpec[] = [];
  const parameter = (spec: ParameterSpec): ValueInfo => {
    if (specs.some(({ name }) => name === spec.name)) return g.value(spec.name);
    specs.push(spec);
    return g.input(spec.name, 'float32', spec.shape);
  };
  const x = g.input('x', task.vocabulary === undefined ? 'float32' : 'int32', [
    'batch',
    ...task.features,
  ]);
  forward({ g, parameter }, x);
  return specs;
}

/** How a linear layer begins, and whether it has a bias. */
export interface LinearOptions {
  readonly weightInit?: ParameterInit;
  readonly biasInit?: ParameterInit;
  readonly hasBias?: boolean;
}

/** How a convolution steps over its input, and begins. */
export interface ConvolutionOptions extends Omit<LinearOptions, 'biasInit'> {
  /** 1 when absent. */
  readonly stride?: number;
  /** Zeros on each of the four sides; 0 when absent. */
  readonly padding?: number;
}

/** PyTorch's default for BatchNorm. */
const STATISTIC_MOMENTUM = 0.1;
const ZEROS: ParameterInit = { kind: 'constant', value: 0 };
const ONES: ParameterInit = { kind: 'constant', value: 1 };

/** Draws layers into one forward pass. `within` names what is inside it, parameters and nodes. */
export class Net {
  readonly g: GraphBuilder;
  readonly #pass: ForwardPass;
  #path = '';

  constructor(pass: ForwardPass) {
    this.g = pass.g;
    this.#pass = pass;
  }

  /** Draws a part of the model under a name: parameters become `name.…`. */
  within<T>(name: string, draw: () => T): T {
    const outer = this.#path;
    this.#path = `${outer}${name}.`;
    try {
      return this.g.within(name, draw);
    } finally {
      this.#path = outer;
    }
  }

  /** A trained tensor; asking again for the same name gives the same one. */
  parameter(name: string, shape: readonly number[], init: ParameterInit): ValueInfo {
    return this.#pass.parameter({ name: this.#path + name, shape, init });
  }

  /**
   * [..., in] -> [..., out]: x W^T + b. Parameters `weight` [out, in], `bias` [out], by default
   * uniform in +-1/sqrt(in).
   */
  linear(name: string, x: ValueInfo, outputs: number, options: LinearOptions = {}): ValueInfo {
    const inputs = Number(x.shape.at(-1));
    const uniform = { kind: 'uniform', bound: 1 / Math.sqrt(inputs) } as const;
    const { weightInit = uniform, biasInit = uniform, hasBias = true } = options;
    return this.within(name, () => {
      const weight = this.parameter('weight', [outputs, inputs], weightInit);
      const bias = hasBias ? this.parameter('bias', [outputs], biasInit) : undefined;
      return this.affine(x, weight, bias, { transposed: true });
    });
  }

  /** [..., in] -> [..., out]: x W + b, or x W^T + b. */
  affine(
    x: ValueInfo,
    weight: ValueInfo,
    bias?: ValueInfo,
    { transposed = false }: { readonly transposed?: boolean } = {},
  ): ValueInfo {
    const { g } = this;
    const gemm = (rows: ValueInfo): ValueInfo => g.gemm(rows, weight, bias, { transB: transposed });
    if (x.shape.length === 2) return gemm(x);
    if (isStatic(x.shape)) {
      // All rows in one Gemm: its bias and its gradients cost less than MatMul's and Add's.
      const [inputs, outputs] = [x.shape.at(-1) ?? 1, Number(weight.shape[transposed ? 0 : 1])];
      const rows = gemm(g.reshape(x, [(elementCount(x.shape) ?? 0) / inputs, inputs]));
      return g.reshape(rows, [...x.shape.slice(0, -1), outputs]);
    }
    const product = g.matMul(x, transposed ? g.transpose(weight, [1, 0]) : weight);
    return bias === undefined ? product : g.add(product, bias);
  }

  /**
   * Ids [..] -> [.., width]. Parameter `weight` [rows, width], by default normal with deviation 1.
   */
  embedding(
    name: string,
    ids: ValueInfo,
    rows: number,
    width: number,
    init: ParameterInit = { kind: 'normal', std: 1 },
  ): ValueInfo {
    return this.within(name, () =>
      this.g.gather(this.parameter('weight', [rows, width], init), ids, 0),
    );
  }

  /**
   * [B, C, H, W] -> [B, channels, H', W'], for a square kernel. Parameters `weight` [channels, C,
   * kernel, kernel], `bias` [channels], by default uniform in +-1/sqrt(C kernel^2).
   */
  conv2d(
    name: string,
    x: ValueInfo,
    channels: number,
    kernel: number,
    options: ConvolutionOptions = {},
  ): ValueInfo {
    const inputs = Number(x.shape[1]);
    const uniform = { kind: 'uniform', bound: 1 / Math.sqrt(inputs * kernel ** 2) } as const;
    const { stride = 1, padding = 0, hasBias = true, weightInit = uniform } = options;
    return this.within(name, () => {
      const weight = this.parameter('weight', [channels, inputs, kernel, kernel], weightInit);
      const bias = hasBias ? this.parameter('bias', [channels], uniform) : undefined;
      const pads = [padding, padding, padding, padding];
      return this.g.conv(x, weight, bias, { strides: [stride, stride], pads });
    });
  }

  /**
   * Normalises each channel of [B, C, H, W]: in training with the statistics of the micro-batch,
   * which the running ones follow, otherwise with these. Parameters `weight`, `bias`,
   * `running_mean`, `running_var` [C].
   */
  batchNorm2d(name: string, x: ValueInfo): ValueInfo {
    const channels = Number(x.shape[1]);
    return this.within(name, () => {
      const scale = this.parameter('weight', [channels], ONES);
      const bias = this.parameter('bias', [channels], ZEROS);
      const { mean, variance } = this.#statistics(x, channels);
      return this.g.batchNormalization(x, scale, bias, mean, variance);
    });
  }

  #statistics(x: ValueInfo, channels: number): { mean: ValueInfo; variance: ValueInfo } {
    const mean = this.#runningStatistic('running_mean', channels, ZEROS);
    const variance = this.#runningStatistic('running_var', channels, ONES);
    const { training } = this.#pass;
    if (training === undefined) return { mean, variance };
    const observed = drawBatchStatistics(this.g, x, training.sampleWeight);
    training.observe(`${this.#path}running_mean`, observed.mean);
    training.observe(`${this.#path}running_var`, observed.unbiasedVariance);
    return observed;
  }

  #runningStatistic(name: string, channels: number, init: ParameterInit): ValueInfo {
    return this.#pass.parameter({
      name: this.#path + name,
      shape: [channels],
      init,
      statisticMomentum: STATISTIC_MOMENTUM,
    });
  }

  /** Normalises the last axis. Parameters `weight`, `bias` of its size. */
  layerNorm(name: string, x: ValueInfo, epsilon = 1e-5): ValueInfo {
    const size = Number(x.shape.at(-1));
    return this.within(name, () => {
      const [scale, bias] = [
        this.parameter('weight', [size], ONES),
        this.parameter('bias', [size], ZEROS),
      ];
      return this.g.layerNormalization(x, scale, bias, { axis: -1, epsilon });
    });
  }

  /**
   * Drops each value with probability `rate` in training, and divides others by what is left of 1.
   */
  dropout(x: ValueInfo, rate: number): ValueInfo {
    const { training } = this.#pass;
    if (training === undefined || rate === 0) return x;
    invariant(isStatic(x.shape), 'a training step has no symbolic size');
    return this.g.mul(x, training.mask(x.shape, rate));
  }
}
