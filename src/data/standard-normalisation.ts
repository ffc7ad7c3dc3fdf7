import { AS_STORED, featureCountOf } from './dataset.ts';
import type { Dataset, DatasetSplits, Normalisation } from './dataset.ts';

/** The data set with the normalisation of its training samples (`standardNormalisation`). */
export function standardised(splits: DatasetSplits): DatasetSplits {
  return withNormalisation(splits, standardNormalisation(splits.train));
}

/** The data set with another normalisation. */
export function withNormalisation(
  splits: DatasetSplits,
  normalisation: Normalisation,
): DatasetSplits {
  const { train, test } = splits;
  return { ...splits, train: { ...train, normalisation }, test: { ...test, normalisation } };
}

/**
 * The normalisation that brings each channel (`features[0]`: a column, or a plane of pixels) of
 * `train` to mean 0 and standard deviation 1. A constant channel becomes 0. Token ids stay.
 *
 * The same bits on every machine: sums in float64, in order.
 */
export function standardNormalisation(
  train: Pick<Dataset, 'features' | 'sampleCount' | 'x'>,
): Normalisation {
  const { x, features, sampleCount } = train;
  if (x instanceof Int32Array) return AS_STORED;
  const channels = features[0] ?? 1;
  const plane = featureCountOf(train) / channels;
  const count = sampleCount * plane;
  const means = sumByChannel(x, channels, plane, (value) => value).map((sum) => sum / count);
  const squares = sumByChannel(
    x,
    channels,
    plane,
    (value, channel) => (value - (means[channel] ?? 0)) ** 2,
  );
  const stds = squares.map((sum) => Math.sqrt(sum / count) || 1);
  return {
    scale: stds.map((std) => Math.fround(1 / std)),
    shift: stds.map((std, channel) => Math.fround(-(means[channel] ?? 0) / std)),
  };
}

function sumByChannel(
  x: Dataset['x'],
  channels: number,
  plane: number,
  term: (value: number, channel: number) => number,
): number[] {
  const sums = Array.from({ length: channels }, () => 0);
  for (
    let start = 0, channel = 0;
    start < x.length;
    start += plane, channel = (channel + 1) % channels
  ) {
    let sum = 0;
    for (let i = start; i < start + plane; i++) sum += term(x[i] as number, channel);
    sums[channel] = (sums[channel] ?? 0) + sum;
  }
  return sums;
}
