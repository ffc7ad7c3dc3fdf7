import { storedTypeOf } from './dataset.ts';
import type { Dataset, DatasetSplits, DatasetTarget, Normalisation } from './dataset.ts';

/** One split of a data set, in numbers. */
interface SplitDescription {
  readonly split: 'train' | 'validation' | 'test';
  readonly sampleCount: number;
  readonly digest: string;
  /** Labels of each class; only where there are classes. */
  readonly classCounts?: readonly number[];
  /** Mean and standard deviation over all targets; only for regression and yes-or-no answers. */
  readonly targetMean?: number;
  readonly targetStd?: number;
}

/** A data set as `lockstep data` shows it; plain JSON. */
export interface DatasetDescription {
  readonly name: string;
  readonly origin: string;
  readonly notes?: readonly string[];
  readonly features: readonly number[];
  readonly storedAs: 'uint8' | 'int32' | 'float32';
  readonly target: DatasetTarget;
  /** Different token ids; absent for other features. */
  readonly vocabulary?: number;
  readonly classNames?: readonly string[];
  readonly normalisation: Normalisation;
  readonly splits: readonly SplitDescription[];
}

/**
 * Names, counts, shapes, class counts, digests and origin of a data set, before any augmentation.
 */
export function describeDataset(splits: DatasetSplits): DatasetDescription {
  const { name, origin, notes, train, validation, test } = splits;
  return {
    name,
    origin,
    ...(notes === undefined ? {} : { notes }),
    features: train.features,
    storedAs: storedTypeOf(train.x),
    target: train.target,
    ...(train.vocabulary === undefined ? {} : { vocabulary: train.vocabulary }),
    ...(train.classNames === undefined ? {} : { classNames: train.classNames }),
    normalisation: train.normalisation,
    splits: [
      describeSplit('train', train),
      ...(validation === undefined ? [] : [describeSplit('validation', validation)]),
      describeSplit('test', test),
    ],
  };
}

function describeSplit(split: SplitDescription['split'], dataset: Dataset): SplitDescription {
  const { sampleCount, digest, target, y } = dataset;
  if ('classes' in target)
    return { split, sampleCount, digest, classCounts: countLabels(y, target.classes) };
  return { split, sampleCount, digest, ...momentsOf(y) };
}

function countLabels(labels: Dataset['y'], classes: number): number[] {
  const counts = Array.from({ length: classes }, () => 0);
  for (const label of labels) counts[label] = (counts[label] ?? 0) + 1;
  return counts;
}

function momentsOf(values: Dataset['y']): { targetMean: number; targetStd: number } {
  let sum = 0;
  let squares = 0;
  for (const value of values) {
    sum += value;
    squares += value * value;
  }
  const mean = sum / values.length;
  return {
    targetMean: mean,
    targetStd: Math.sqrt(Math.max(0, squares / values.length - mean * mean)),
  };
}
