/** The multilayer perceptron: Linear layers with an activation between them. */
import { ConfigError } from '../base/errors.ts';
import { suggestion } from '../config/closest-name.ts';
import type { GraphBuilder } from '../graph/builder.ts';
import type { ValueInfo } from '../graph/types.ts';
import { outputSizeOf, type Model, type ModelTask, type ParameterSpec } from './model.ts';

const ACTIVATIONS = {
  relu: (g: GraphBuilder, x: ValueInfo) => g.relu(x),
  tanh: (g: GraphBuilder, x: ValueInfo) => g.tanh(x),
  sigmoid: (g: GraphBuilder, x: ValueInfo) => g.sigmoid(x),
} as const;
export type Activation = keyof typeof ACTIVATIONS;

export interface MlpOptions {
  /** Sizes of the hidden layers; none at all gives (multinomial logistic or linear) regression. */
  readonly hidden: readonly number[];
  readonly activation: Activation;
}

/**
 * features -> hidden[0] -> ... -> hidden[n-1] -> outputs.
 *
 * Parameters (shapes as in PyTorch's nn.Linear, and 1 to 3 % faster in ONNX Runtime than [in, out]):
 *   `layers.<i>.weight` [out, in], `layers.<i>.bias` [out], uniform in +-1/sqrt(in).
 */
export function makeMlp(task: ModelTask, { hidden, activation }: MlpOptions): Model {
  const inputSize = task.features.reduce((product, size) => product * size, 1);
  const sizes = [inputSize, ...hidden, outputSizeOf(task)]; // [784, 256, 512, 10]
  const layers = sizes.slice(1).map((size, i) => linearParameters(`layers.${i}`, sizes[i] ?? 0, size));
  return {
    ...task,
    name: 'mlp',
    parameters: layers.flat(),
    forward(g, x, parameter) {
      let h = task.features.length === 1 ? x : g.flatten(x); // [B, in]
      layers.forEach((_, i) => {
        h = g.within(`layers.${i}`, () => {
          const [weight, bias] = [parameter(`layers.${i}.weight`), parameter(`layers.${i}.bias`)];
          const z = g.gemm(h, weight, bias, { transB: true }); // [B, out]
          return i < layers.length - 1 ? ACTIVATIONS[activation](g, z) : z;
        });
      });
      return h;
    },
  };
}

function linearParameters(name: string, inputs: number, outputs: number): ParameterSpec[] {
  const init = { kind: 'uniform', bound: 1 / Math.sqrt(inputs) } as const;
  return [
    { name: `${name}.weight`, shape: [outputs, inputs], init },
    { name: `${name}.bias`, shape: [outputs], init },
  ];
}

const KEYS = ['hidden', 'activation'];
const MAX_LAYER_SIZE = 2 ** 20;

/**
 * The options as a user writes them; absent ones: `hidden` [128], `activation` relu.
 *
 * Throws: ConfigError naming the option, what was expected and what came.
 */
export function parseMlpOptions(options: Readonly<Record<string, unknown>>): MlpOptions {
  const unknown = Object.keys(options).find((key) => !KEYS.includes(key));
  if (unknown !== undefined) {
    throw invalid(unknown, `one of ${KEYS.join(', ')}`, unknown, suggestion(unknown, KEYS));
  }
  const { hidden = [128], activation = 'relu' } = options;
  if (!isLayerSizes(hidden)) {
    throw invalid('hidden', 'a list of layer sizes, 1 or more each', hidden, 'Write for example [256, 512].');
  }
  if (typeof activation !== 'string' || !isActivation(activation)) {
    const names = Object.keys(ACTIVATIONS);
    throw invalid('activation', names.join(' | '), activation, suggestion(String(activation), names));
  }
  return { hidden, activation };
}

function isLayerSizes(value: unknown): value is readonly number[] {
  return (
    Array.isArray(value) &&
    value.every((size) => Number.isInteger(size) && size >= 1 && size <= MAX_LAYER_SIZE)
  );
}

function isActivation(name: string): name is Activation {
  return Object.hasOwn(ACTIVATIONS, name);
}

function invalid(option: string, expected: string, got: unknown, next: string): ConfigError {
  const shown = JSON.stringify(got) ?? String(got);
  return new ConfigError(`mlp option ${option}: expected ${expected}, got ${shown}. ${next}`, [
    { path: option, expected, got: shown },
  ]);
}
