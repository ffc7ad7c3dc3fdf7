/**
 * What a model is to the rest of the program: parameters, and a function that draws its forward
 * pass.
 */
import type { DatasetTarget } from '../data/dataset.ts';
import type { GraphBuilder } from '../graph/builder.ts';
import type { GraphFile } from '../graph/types.ts';
import type { ValueInfo } from '../graph/values/types.ts';

/**
 * How a parameter begins. `uniform`: -bound <= value < bound; `normal`: mean 0; `values`: as they
 * are.
 */
export type ParameterInit =
  | { readonly kind: 'uniform'; readonly bound: number }
  | { readonly kind: 'normal'; readonly std: number }
  | { readonly kind: 'constant'; readonly value: number }
  | { readonly kind: 'values'; readonly values: Float32Array };

/** One float32 tensor of a model's state. */
export interface ParameterSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly init: ParameterInit;
  /**
   * Absent: trained by the gradient of the loss. Otherwise a running statistic (BatchNorm's mean
   *         and variance): it
   * moves by this part towards what a step observed, averaged over its samples, and no optimizer
   * touches it.
   */
  readonly statisticMomentum?: number;
}

/** What the data asks of a model: the shape of one sample, and what it is to be mapped to. */
export interface ModelTask {
  readonly features: readonly number[];
  readonly target: DatasetTarget;
  /** Set when a sample is token ids 0 .. vocabulary - 1 (int32); otherwise it is float32. */
  readonly vocabulary?: number;
}

/** What a training pass has and an evaluation has not. */
export interface TrainingPass {
  /** float32 [B]: 0 for padding, which must not enter any statistic. */
  readonly sampleWeight: ValueInfo;
  /** Reports what the micro-batch says of the running statistic `name`; same shape. */
  readonly observe: (name: string, value: ValueInfo) => void;
  /**
   * float32 of `shape`, drawn anew for every micro-batch of every step, the same whoever computes
   * it: 0 with probability `rate`, else 1 / (1 - rate).
   */
  readonly mask: (shape: readonly number[], rate: number) => ValueInfo;
}

/** Where a forward pass is drawn, and what for. */
export interface ForwardPass {
  readonly g: GraphBuilder;
  /** The value of a parameter of this name. */
  readonly parameter: (spec: ParameterSpec) => ValueInfo;
  /** Absent: evaluation or inference, with running statistics and without dropout. */
  readonly training?: TrainingPass;
}

export interface Model extends ModelTask {
  readonly name: string;
  /** In canonical order: the order of the flat state, of the gradients and of the digest. */
  readonly parameters: readonly ParameterSpec[];
  /**
   * Adds the forward pass to `pass.g`.
   *
   * Shapes: x [B, ...features] -> logits (before the softmax) or predictions of `outputShapeOf`
   *         behind B, which may be symbolic unless training.
   */
  readonly forward: (pass: ForwardPass, x: ValueInfo) => ValueInfo;
  /**
   * The model as its user runs it, where it comes from a file and keeps the file's names; absent:
   * drawn anew.
   */
  readonly inference?: (parameters: ReadonlyMap<string, Float32Array>) => GraphFile;
}

/**
 * Shape of what a model puts out for one sample: [classes], [outputs], or [length, classes] for a
 * sequence.
 */
export function outputShapeOf({ target }: Pick<ModelTask, 'target'>): readonly number[] {
  switch (target.kind) {
    case 'classification':
      return [target.classes];
    case 'regression':
    case 'binary':
      return [target.outputs];
    case 'sequence':
      return [target.length, target.classes];
    default:
      return target satisfies never;
  }
}

/** Numbers that the last layer puts out for one sample, or for one position of a sequence. */
export function outputSizeOf(task: Pick<ModelTask, 'target'>): number {
  return outputShapeOf(task).at(-1) ?? 1;
}

/**
 * Elements of all trained parameters together; running statistics are not counted, as in PyTorch.
 */
export function parameterCountOf(model: Pick<Model, 'parameters'>): number {
  const trained = model.parameters.filter(
    ({ statisticMomentum }) => statisticMomentum === undefined,
  );
  return stateElementCountOf({ parameters: trained });
}

/** Elements of all parameters and running statistics together. */
export function stateElementCountOf(model: Pick<Model, 'parameters'>): number {
  return model.parameters.reduce((count, { shape }) => count + shape.reduce((a, b) => a * b, 1), 0);
}
