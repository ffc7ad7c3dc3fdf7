/** What a model is to others: parameters, and a function that draws its forward pass. */
import { type DatasetTarget, targetCountOf } from '../data/dataset.ts';
import type { GraphBuilder } from '../graph/builder.ts';
import type { GraphFile } from '../graph/types.ts';
import type { ValueInfo } from '../graph/values/types.ts';

/**
 * How a parameter begins. `uniform`: -bound <= value < bound; `normal`: mean 0; `values`: as is.
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
   * A running statistic (BatchNorm's mean or variance) moves by this part towards what a step
   * observed on average, and no optimizer touches it. Absent: trained by the loss's gradient.
   */
  readonly statisticMomentum?: number;
}

/** What the data asks of a model: the shape of one sample, and what it is to be mapped to. */
export interface ModelTask {
  readonly features: readonly number[];
  readonly target: DatasetTarget;
  /** Samples are token ids 0 .. vocabulary - 1 (int32); float32 when absent. */
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

/** The place where a forward pass is drawn, and its purpose. */
export interface ForwardPass {
  readonly g: GraphBuilder;
  /** The value of a parameter of this name. */
  readonly parameter: (spec: ParameterSpec) => ValueInfo;
  /** What training adds; absent: running statistics and no dropout. */
  readonly training?: TrainingPass;
}

/** A network for a task: its parameters, and how it is drawn. */
export interface Model extends ModelTask {
  readonly name: string;
  /** The canonical order: that of the flat state, of the gradients and of the digest. */
  readonly parameters: readonly ParameterSpec[];
  /**
   * Adds the forward pass to `pass.g`.
   *
   * Shapes: x [B, ...features] -> logits (before the softmax) or predictions of `outputShapeOf`
   *         behind B, which may be symbolic unless training.
   */
  readonly forward: (pass: ForwardPass, x: ValueInfo) => ValueInfo;
  /** What the loss `auto` means for it; the usual one of the target when absent. */
  readonly usualLoss?: 'bce';
  /** Whether its file ends in a Softmax or Sigmoid that the loss leaves out. */
  readonly givesProbabilities?: boolean;
  /** The model as its user runs it, with the names of its file; absent: drawn anew. */
  readonly inference?: (parameters: ReadonlyMap<string, Float32Array>) => GraphFile;
}

/**
 * Gives the shape of one sample's output: [classes], [outputs], or where every position of a
 * sequence or every pixel has a label [positions, classes].
 */
export function outputShapeOf({ target }: Pick<ModelTask, 'target'>): readonly number[] {
  switch (target.kind) {
    case 'classification':
      return [target.classes];
    case 'regression':
    case 'binary':
      return [target.outputs];
    case 'sequence':
    case 'segmentation':
      return [targetCountOf({ target }), target.classes];
    default:
      return target satisfies never;
  }
}

/** Numbers that the last layer puts out for one sample, or for one position or pixel. */
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
