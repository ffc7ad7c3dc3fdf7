/** The functions between layers, by the name that a configuration gives them. */
import type { ActivationName } from '../config/train-config.ts';
import type { GraphBuilder } from '../graph/builder.ts';
import type { ValueInfo } from '../graph/values/types.ts';

/** Each is applied element by element. */
export const ACTIVATIONS: {
  readonly [Name in ActivationName]: (g: GraphBuilder, x: ValueInfo) => ValueInfo;
} = {
  relu: (g, x) => g.relu(x),
  tanh: (g, x) => g.tanh(x),
  sigmoid: (g, x) => g.sigmoid(x),
  gelu: (g, x) => g.gelu(x, 'none'),
  gelu_tanh: (g, x) => g.gelu(x, 'tanh'),
};
