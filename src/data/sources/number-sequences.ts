import type { Dataset, DatasetSplits } from '../dataset.ts';
import { makeDataset } from '../dataset-digest.ts';
import { BYTE_NORMALISATION, nearNormalBytes, nearNormals, numberOfByte } from './near-normal.ts';

/** How many sequences are made, and from which randomness. */
export interface NumberSequencesOptions {
  readonly seed: number;
  readonly sampleCount: number;
  readonly testSampleCount: number;
}

const NAME = 'number_sequences';
const LENGTH = 32;
const WIDTH = 256;
/** Standard deviation of the noise on the targets; their own is near 1. */
const NOISE = 0.1;

/** Second counter word: what is drawn. The values are part of the digest contract. */
const DRAWS = { direction: 53, train: { x: 54, noise: 55 }, test: { x: 56, noise: 57 } };

/**
 * Makes sequences as large as MiniCluster's transformer workload, with a target to be learned.
 *
 *     x, V ~ near-normal, mean 0, variance 1; x stored as bytes             x [N, 32, 256], V [256]
 *     y = (sum over positions of x V) / sqrt(32 * 256) + 0.1 noise          y [N, 1]
 *
 * Sample i is the same whatever the counts; the bits are the same on every machine.
 */
export function makeNumberSequences(options: NumberSequencesOptions): DatasetSplits {
  const { seed, sampleCount, testSampleCount } = options;
  const direction = nearNormals(seed, DRAWS.direction, WIDTH);
  const makeSplit = (
    count: number,
    draws: { readonly x: number; readonly noise: number },
  ): Dataset => {
    const x = nearNormalBytes(seed, draws.x, count * LENGTH * WIDTH, NAME);
    const y = nearNormals(seed, draws.noise, count);
    for (let sample = 0; sample < count; sample++) {
      const sequence = x.subarray(sample * LENGTH * WIDTH, (sample + 1) * LENGTH * WIDTH);
      y[sample] = targetOf(sequence, direction) + NOISE * (y[sample] ?? 0);
    }
    return makeDataset({
      name: NAME,
      sampleCount: count,
      features: [LENGTH, WIDTH],
      target: { kind: 'regression', outputs: 1 },
      x,
      y,
      normalisation: BYTE_NORMALISATION,
    });
  };
  return {
    name: NAME,
    origin: `computed from seed ${seed}`,
    train: makeSplit(sampleCount, DRAWS.train),
    test: makeSplit(testSampleCount, DRAWS.test),
  };
}

/** Sums in index order: a float sum depends on it. */
function targetOf(sequence: Uint8Array, direction: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < sequence.length; i++)
    sum += numberOfByte(sequence[i] ?? 0) * (direction[i % WIDTH] ?? 0);
  return sum / Math.sqrt(sequence.length);
}
