import { RandomWords } from '../../base/random.ts';
import { AS_STORED } from '../dataset.ts';
import type { Dataset, DatasetSplits } from '../dataset.ts';
import { makeDataset } from '../dataset-digest.ts';
import { nearNormals } from './near-normal.ts';
import { sharedInt32 } from '../shared-memory.ts';

/** How many bags are made, and from which randomness. */
export interface TokenBagsOptions {
  readonly seed: number;
  readonly sampleCount: number;
  readonly testSampleCount: number;
}

const NAME = 'token_bags';
const LENGTH = 16;
const VOCABULARY = 10_000;
/** Standard deviation of the noise on the targets; their own is near 1. */
const NOISE = 0.1;

/** Second counter word: what is drawn. The values are part of the digest contract. */
const DRAWS = { values: 58, train: { x: 59, noise: 60 }, test: { x: 61, noise: 62 } };

/**
 * Bags of the size of MiniCluster's embedding workload, with a target that can be learned from
 * them: every token has a value, and some tokens are frequent, as those of a recommender are.
 *
 *     x = floor(10,000 u^3), u uniform in 0 .. 1; value ~ near-normal         x [N, 16], value
 *     [10,000] y = (sum over the bag of value[x]) / sqrt(16) + 0.1 noise               y [N, 1]
 *
 * Sample i is the same whatever the counts; the bits are the same on every machine.
 */
export function makeTokenBags(options: TokenBagsOptions): DatasetSplits {
  const { seed, sampleCount, testSampleCount } = options;
  const values = nearNormals(seed, DRAWS.values, VOCABULARY);
  const makeSplit = (
    count: number,
    draws: { readonly x: number; readonly noise: number },
  ): Dataset => {
    const x = sharedInt32(count * LENGTH, NAME);
    const y = nearNormals(seed, draws.noise, count);
    const words = new RandomWords(seed, 'synthetic', draws.x);
    for (let i = 0; i < x.length; i++) {
      const u = words.uniform(i);
      x[i] = Math.floor(VOCABULARY * (u * u * u));
    }
    for (let sample = 0; sample < count; sample++) {
      const bag = x.subarray(sample * LENGTH, (sample + 1) * LENGTH);
      const sum = bag.reduce((total, token) => total + (values[token] ?? 0), 0);
      y[sample] = sum / Math.sqrt(LENGTH) + NOISE * (y[sample] ?? 0);
    }
    return makeDataset({
      name: NAME,
      sampleCount: count,
      features: [LENGTH],
      target: { kind: 'regression', outputs: 1 },
      vocabulary: VOCABULARY,
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
