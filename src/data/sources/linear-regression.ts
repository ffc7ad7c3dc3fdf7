import { AS_STORED } from '../dataset.ts';
import type { Dataset, DatasetSplits } from '../dataset.ts';
import { makeDataset } from '../dataset-digest.ts';
import { nearNormals } from './near-normal.ts';

/** How many samples are made, and from which randomness. */
export interface LinearRegressionOptions {
  readonly seed: number;
  readonly sampleCount: number;
  readonly testSampleCount: number;
}

const NAME = 'linear_regression';
const FEATURES = 10;
/** Standard deviation of the noise: the smallest mean squared error is its square. */
const NOISE = 0.1;

/** Second counter word: what is drawn. The values are part of the digest contract. */
const DRAWS = { weights: 48, train: { x: 49, noise: 50 }, test: { x: 51, noise: 52 } };

/**
 * MiniCluster's regression set: targets are a linear function of ten features plus noise.
 *
 *     x, W ~ near-normal, mean 0, variance 1        x [N, 10], W [10]
 *     y = x W + 0.1 noise                           y [N, 1]
 *
 * Sample i is the same whatever the counts; the bits are the same on every machine.
 */
export function makeLinearRegression(options: LinearRegressionOptions): DatasetSplits {
  const { seed, sampleCount, testSampleCount } = options;
  const weights = nearNormals(seed, DRAWS.weights, FEATURES);
  const makeSplit = (
    count: number,
    draws: { readonly x: number; readonly noise: number },
  ): Dataset => {
    const x = nearNormals(seed, draws.x, count * FEATURES);
    const y = nearNormals(seed, draws.noise, count);
    for (let sample = 0; sample < count; sample++) {
      // In this order: a float sum depends on it.
      let sum = NOISE * (y[sample] ?? 0);
      for (let i = 0; i < FEATURES; i++) sum += (x[sample * FEATURES + i] ?? 0) * (weights[i] ?? 0);
      y[sample] = sum;
    }
    return makeDataset({
      name: NAME,
      sampleCount: count,
      features: [FEATURES],
      target: { kind: 'regression', outputs: 1 },
      x,
      y,
      normalisation: AS_STORED,
    });
  };
  return {
    name: NAME,
    origin: `computed from seed ${seed}`,
    train: makeSplit(sampleCount, DRAWS.train),
    test: makeSplit(testSampleCount, DRAWS.test),
  };
}
