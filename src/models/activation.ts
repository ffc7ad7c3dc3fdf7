/** The functions between layers, by the name that a configuration gives them. */
import type { GraphBuilder } from '../graph/builder.ts';
import type { ValueInfo } from '../graph/values/types.ts';

type DrawActivation = (g: GraphBuilder, x: ValueInfo) => ValueInfo;

/** Each is applied element by element. */
export const ACTIVATIONS = {
  relu: (g, x) => g.relu(x),
  tanh: (g, x) => g.tanh(x),
  sigmoid: (g, x) => g.sigmoid(x),
  gelu: (g, x) => g.gelu(x, 'none'),
  gelu_tanh: (g, x) => g.gelu(x, 'tanh'),
} as const satisfies Readonly<Record<string, DrawActivation>>;

/** The name of one of `ACTIVATIONS`. */
export type ActivationName = keyof typeof ACTIVATIONS;

/** Every name, in the order in which they are listed. */
export const ACTIVATION_NAMES = Object.keys(ACTIVATIONS) as readonly ActivationName[];
