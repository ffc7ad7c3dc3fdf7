import type { Dataset, DatasetSplits, DatasetTarget, Normalisation } from './dataset.ts';

/** One split of a data set, in numbers. */
export interface SplitDescription {
  readonly split: 'train' | 'validation' | 'test';
  readonly sampleCount: number;
  readonly digest: string;
  /** Samples of each class; only for classification. */
  readonly classCounts?: readonly number[];
  /** Mean and standard deviation over all targets; only for regression. */
  readonly targetMean?: number;
  readonly targetStd?: number;
}

/** A data set as `lockstep data` shows it; plain JSON. */
export interface DatasetDescription {
  readonly name: string;
  readonly origin: string;
  readonly features: readonly number[];
  readonly storedAs: 'uint8' | 'float32';
  readonly target: DatasetTarget;
  readonly normalisation: Normalisation;
  readonly splits: readonly SplitDescription[];
}

/** Names, counts, shapes, class counts, digests and origin of a data set. */
export function describeDataset(splits: DatasetSplits): DatasetDescription {
  const { name, origin, train, validation, test } = splits;
  return {
    name,
    origin,
    features: train.features,
    storedAs: train.x instanceof Uint8Array ? 'uint8' : 'float32',
    target: train.target,
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
  if (target.kind === 'classification')
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
  return { targetMean: mean, targetStd: Math.sqrt(Math.max(0, squares / values.length - mean * mean)) };
}
