/**
 * What a prediction is measured by: loss and right answers of one micro-batch, by the kind of
 * target and the loss asked for.
 */
import {
  binaryCrossEntropySum,
  correctBinarySum,
  correctSum,
  crossEntropySum,
  squaredErrorSum,
} from '../autodiff/losses.ts';
import { ConfigError } from '../base/errors.ts';
import { type DatasetTarget, targetCountOf } from '../data/dataset.ts';
import type { GraphBuilder } from '../graph/builder.ts';
import type { ElementType, ValueInfo } from '../graph/values/types.ts';
import { outputSizeOf } from './model.ts';

/** Losses that `loss` may name; which of them fit depends on the data. */
export const LOSS_NAMES = ['auto', 'cross-entropy', 'mse', 'bce'] as const;
/** One of `LOSS_NAMES`. */
export type LossName = (typeof LOSS_NAMES)[number];

/** What the user says about the loss. */
export interface ObjectiveOptions {
  /** `auto`, the default, is the first of the losses that fit the data; `lossOf` tells which do. */
  readonly loss?: LossName;
  /**
   * The part of the target that a cross-entropy spreads over all classes, 0 <= part < 1; default 0.
   */
  readonly labelSmoothing?: number;
}

/** The numbers that training and evaluation of a micro-batch come to. */
export interface Objective {
  /** [] float32: sum over samples of weight * loss. */
  readonly loss: ValueInfo;
  /** [] float32: sum over samples of weight * share of right answers; absent for a regression. */
  readonly correct?: ValueInfo;
}

/** Type and shape of the targets of B samples. */
export function targetTypeOf(
  target: DatasetTarget,
  samples: number,
): { type: ElementType; shape: number[] } {
  switch (target.kind) {
    case 'classification':
      return { type: 'int32', shape: [samples] };
    case 'sequence':
    case 'segmentation':
      return { type: 'int32', shape: [samples, targetCountOf({ target })] };
    case 'regression':
    case 'binary':
      return { type: 'float32', shape: [samples, target.outputs] };
    default:
      return target satisfies never;
  }
}

/** The losses that fit each kind of target, the usual one first. */
const LOSSES = {
  classification: ['cross-entropy'],
  sequence: ['cross-entropy'],
  segmentation: ['cross-entropy'],
  regression: ['mse', 'bce'],
  binary: ['bce', 'mse'],
} as const satisfies Record<DatasetTarget['kind'], readonly LossName[]>;

/**
 * The loss that `options` ask for on this target.
 *
 * Throws: ConfigError when the loss does not fit the target, or when a smoothing is no part of 1 or
 *         is asked for without a cross-entropy.
 */
export function lossOf(
  target: DatasetTarget,
  { loss = 'auto', labelSmoothing = 0 }: ObjectiveOptions = {},
): Exclude<LossName, 'auto'> {
  const fitting = LOSSES[target.kind];
  const chosen = fitting.find((name) => loss === 'auto' || name === loss);
  if (chosen === undefined)
    throw misfit('loss', `auto or ${fitting.join(' or ')}, for ${target.kind} data`, loss);
  if (!(labelSmoothing >= 0 && labelSmoothing < 1)) {
    throw misfit('label_smoothing', 'a number from 0 to below 1', String(labelSmoothing));
  }
  if (labelSmoothing > 0 && chosen !== 'cross-entropy') {
    throw misfit('label_smoothing', `0 with the loss ${chosen}`, String(labelSmoothing));
  }
  return chosen;
}

function misfit(path: string, expected: string, got: string): ConfigError {
  return new ConfigError(`${path}: expected ${expected}, got ${got}.`, [{ path, expected, got }]);
}

/**
 * Loss and right answers of B samples.
 *
 * Shapes: prediction [B, ...outputShapeOf], y as `targetTypeOf`, sampleWeight [B].
 * The loss of a sequence or an image with labels is the sum over its positions divided by their
 * number, whatever part of them is ignored.
 * Throws: ConfigError as `lossOf`.
 */
export function drawObjective(
  g: GraphBuilder,
  target: DatasetTarget,
  prediction: ValueInfo,
  y: ValueInfo,
  sampleWeight: ValueInfo,
  options: ObjectiveOptions = {},
): Objective {
  const name = lossOf(target, options);
  switch (target.kind) {
    case 'classification':
      return {
        loss: crossEntropySum(g, prediction, y, sampleWeight, options),
        correct: correctSum(g, prediction, y, sampleWeight),
      };
    case 'sequence':
    case 'segmentation': {
      const classes = outputSizeOf({ target });
      const length = targetCountOf({ target });
      const positions = Number(y.shape[0]) * length;
      const logits = g.reshape(prediction, [positions, classes]); // [B T, classes]
      const labels = g.reshape(y, [positions]); // [B T]
      const share = g.mul(g.unsqueeze(sampleWeight, [1]), g.scalar(1 / length)); // [B, 1]
      const weights = g.reshape(g.expand(share, [Number(y.shape[0]), length]), [positions]);
      return {
        loss: crossEntropySum(g, logits, labels, weights, options),
        correct: correctSum(g, logits, labels, weights),
      };
    }
    case 'binary': {
      const threshold = name === 'bce' ? 0 : 0.5;
      return {
        loss: elementLoss(name)(g, prediction, y, sampleWeight),
        correct: correctBinarySum(g, prediction, y, sampleWeight, threshold),
      };
    }
    case 'regression':
      return { loss: elementLoss(name)(g, prediction, y, sampleWeight) };
    default:
      return target satisfies never;
  }
}

/** The loss of targets that are numbers. */
function elementLoss(name: LossName): typeof squaredErrorSum {
  return name === 'bce' ? binaryCrossEntropySum : squaredErrorSum;
}
