/** What a prediction is measured by: loss and right answers of one micro-batch, by the kind of target. */
import {
  binaryCrossEntropySum,
  correctBinarySum,
  correctSum,
  crossEntropySum,
  squaredErrorSum,
} from '../autodiff/losses.ts';
import type { DatasetTarget } from '../data/dataset.ts';
import type { GraphBuilder } from '../graph/builder.ts';
import type { ElementType, ValueInfo } from '../graph/types.ts';
import { outputSizeOf } from './model.ts';

export interface Objective {
  /** [] float32: sum over samples of weight * loss. */
  readonly loss: ValueInfo;
  /** [] float32: sum over samples of weight * share of right answers; absent for a regression. */
  readonly correct?: ValueInfo;
}

/** Type and shape of the targets of B samples. */
export function targetTypeOf(target: DatasetTarget, samples: number): { type: ElementType; shape: number[] } {
  switch (target.kind) {
    case 'classification':
      return { type: 'int32', shape: [samples] };
    case 'sequence':
      return { type: 'int32', shape: [samples, target.length] };
    case 'regression':
    case 'binary':
      return { type: 'float32', shape: [samples, target.outputs] };
    default:
      return target satisfies never;
  }
}

/**
 * Loss and right answers of B samples.
 *
 * Shapes: prediction [B, ...outputShapeOf], y as `targetTypeOf`, sampleWeight [B].
 * A sequence's loss is the sum over its positions divided by its length, whatever part of them is ignored.
 */
export function drawObjective(
  g: GraphBuilder,
  target: DatasetTarget,
  prediction: ValueInfo,
  y: ValueInfo,
  sampleWeight: ValueInfo,
): Objective {
  switch (target.kind) {
    case 'classification':
      return {
        loss: crossEntropySum(g, prediction, y, sampleWeight),
        correct: correctSum(g, prediction, y, sampleWeight),
      };
    case 'sequence': {
      const classes = outputSizeOf({ target });
      const positions = Number(y.shape[0]) * target.length;
      const logits = g.reshape(prediction, [positions, classes]); // [B T, classes]
      const labels = g.reshape(y, [positions]); // [B T]
      const share = g.mul(g.unsqueeze(sampleWeight, [1]), g.scalar(1 / target.length)); // [B, 1]
      const weights = g.reshape(g.expand(share, [Number(y.shape[0]), target.length]), [positions]);
      return {
        loss: crossEntropySum(g, logits, labels, weights),
        correct: correctSum(g, logits, labels, weights),
      };
    }
    case 'binary':
      return {
        loss: binaryCrossEntropySum(g, prediction, y, sampleWeight),
        correct: correctBinarySum(g, prediction, y, sampleWeight),
      };
    case 'regression':
      return { loss: squaredErrorSum(g, prediction, y, sampleWeight) };
    default:
      return target satisfies never;
  }
}
