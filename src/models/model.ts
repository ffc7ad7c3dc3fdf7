/** What a model is to the rest of the program: parameters, and a function that draws its forward pass. */
import type { DatasetTarget } from '../data/dataset.ts';
import type { GraphBuilder } from '../graph/builder.ts';
import type { ValueInfo } from '../graph/types.ts';

/** How a parameter begins. `uniform`: -bound <= value < bound. */
export type ParameterInit =
  | { readonly kind: 'uniform'; readonly bound: number }
  | { readonly kind: 'constant'; readonly value: number };

/** One trainable tensor, float32. */
export interface ParameterSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly init: ParameterInit;
}

/** What the data asks of a model: the shape of one sample, and what it is to be mapped to. */
export interface ModelTask {
  readonly features: readonly number[];
  readonly target: DatasetTarget;
}

export interface Model extends ModelTask {
  readonly name: string;
  /** In canonical order: the order of the flat state, of the gradients and of the digest. */
  readonly parameters: readonly ParameterSpec[];
  /**
   * Adds the forward pass to `g`.
   *
   * Shapes: x [B, ...features] -> [B, classes] (logits, before the softmax) or [B, outputs]; B may be symbolic.
   */
  readonly forward: (g: GraphBuilder, x: ValueInfo, parameter: (name: string) => ValueInfo) => ValueInfo;
}

/** Numbers that the last layer puts out for one sample. */
export function outputSizeOf({ target }: Pick<Model, 'target'>): number {
  return target.kind === 'classification' ? target.classes : target.outputs;
}

/** Elements of all parameters together. */
export function parameterCountOf(model: Pick<Model, 'parameters'>): number {
  return model.parameters.reduce((count, { shape }) => count + shape.reduce((a, b) => a * b, 1), 0);
}
