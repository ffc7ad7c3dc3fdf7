import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Dataset, DatasetSplits } from '../dataset.ts';
import { describeDataset } from '../describe-dataset.ts';
import { makeLinearRegression } from './linear-regression.ts';
import { BYTE_NORMALISATION, nearNormalBytes, numberOfByte } from './near-normal.ts';
import { makeNumberSequences } from './number-sequences.ts';
import { makeTokenBags } from './token-bags.ts';

type Maker = (options: {
  seed: number;
  sampleCount: number;
  testSampleCount: number;
}) => DatasetSplits;

const SETS: readonly {
  name: string;
  make: Maker;
  features: readonly number[];
  /** SHA-256 of 100 training samples of seed 42. */
  digest: string;
}[] = [
  {
    name: 'makeLinearRegression',
    make: makeLinearRegression,
    features: [10],
    digest: '7cea8f5d5ea64e939b072866a7b1be869d9840609e9325cf0572b0a0c31b3f55',
  },
  {
    name: 'makeNumberSequences',
    make: makeNumberSequences,
    features: [32, 256],
    digest: '064bdac02463aa78776d0eae2a0ae062c66f070543f80b1370d7e686eaefd56d',
  },
  {
    name: 'makeTokenBags',
    make: makeTokenBags,
    features: [16],
    digest: '469fee16cc3d490754936f7e59809bf4fdbaba6b7933aebba3ba19e5e290ef8c',
  },
];

for (const { name, make, features, digest } of SETS) {
  describe(name, () => {
    test('gives the recorded bits, in the recorded shape', () => {
      const { train } = make({ seed: 42, sampleCount: 100, testSampleCount: 10 });

      assert.equal(train.digest, digest);
      assert.deepEqual(
        [train.features, train.target],
        [features, { kind: 'regression', outputs: 1 }],
      );
    });

    test('gives sample i the same bits whatever the counts', () => {
      const few = make({ seed: 7, sampleCount: 5, testSampleCount: 2 });
      const many = make({ seed: 7, sampleCount: 20, testSampleCount: 9 });

      assert.deepEqual(many.train.x.slice(0, few.train.x.length), few.train.x.slice());
      assert.deepEqual(many.train.y.slice(0, 5), few.train.y.slice());
      assert.deepEqual(many.test.y.slice(0, 2), few.test.y.slice());
    });

    test('gives other samples in test than in training, and others for another seed', () => {
      const first = make({ seed: 7, sampleCount: 10, testSampleCount: 10 });
      const second = make({ seed: 8, sampleCount: 10, testSampleCount: 10 });

      assert.notEqual(first.train.digest, first.test.digest);
      assert.notEqual(first.train.digest, second.train.digest);
    });
  });
}

describe('makeLinearRegression', () => {
  test('has targets that a linear function explains but for noise of a hundredth', () => {
    const { train } = makeLinearRegression({ seed: 42, sampleCount: 1000, testSampleCount: 1 });
    const weights = leastSquares(train);
    let squares = 0;
    for (let i = 0; i < train.sampleCount; i++) {
      const predicted = weights.reduce((sum, weight, j) => sum + weight * train.x[10 * i + j]!, 0);
      squares += (train.y[i]! - predicted) ** 2;
    }

    const error = squares / train.sampleCount;
    assert.ok(error > 0.008 && error < 0.012, `mean squared error ${error}`);
  });
});

describe('makeNumberSequences', () => {
  test('has features of mean 0 and variance 1 once normalised, and targets near 1', () => {
    const splits = makeNumberSequences({ seed: 42, sampleCount: 200, testSampleCount: 1 });
    const [scale = 0] = BYTE_NORMALISATION.scale;
    const [shift = 0] = BYTE_NORMALISATION.shift;
    let sum = 0;
    let squares = 0;
    for (const byte of splits.train.x) {
      const value = byte * scale + shift;
      sum += value;
      squares += value * value;
    }
    const mean = sum / splits.train.x.length;
    const variance = squares / splits.train.x.length - mean * mean;
    const { targetStd = 0 } = describeDataset(splits).splits[0]!;

    assert.ok(
      Math.abs(mean) < 0.005 && Math.abs(variance - 1) < 0.005,
      `mean ${mean}, variance ${variance}`,
    );
    assert.ok(targetStd > 0.8 && targetStd < 1.25, `target std ${targetStd}`);
  });

  test('has targets that follow from the sums over positions', () => {
    const { train } = makeNumberSequences({ seed: 42, sampleCount: 1000, testSampleCount: 1 });
    let explained = 0;
    for (let column = 0; column < 256; column++) {
      let covariance = 0;
      for (let i = 0; i < train.sampleCount; i++) {
        let total = 0;
        for (let t = 0; t < 32; t++) total += numberOfByte(train.x[(i * 32 + t) * 256 + column]!);
        covariance += (total / Math.sqrt(32)) * train.y[i]!;
      }
      explained += (covariance / train.sampleCount) ** 2;
    }

    // Noise alone would explain 256 / 1000 of the variance.
    assert.ok(explained > 0.9, `explained ${explained}`);
  });
});

describe('makeTokenBags', () => {
  test('has all tokens in its vocabulary, few of them frequent', () => {
    const { train } = makeTokenBags({ seed: 42, sampleCount: 1000, testSampleCount: 1 });
    const tokens = [...train.x];

    assert.equal(train.vocabulary, 10_000);
    assert.ok(tokens.every((token) => token >= 0 && token < 10_000));
    // The cube root of a hundredth, 0.215.
    const frequent = tokens.filter((token) => token < 100).length / tokens.length;
    assert.ok(Math.abs(frequent - 0.215) < 0.02, `${frequent}`);
  });

  test('has targets that are alike where bags are', () => {
    const { train } = makeTokenBags({ seed: 42, sampleCount: 4000, testSampleCount: 1 });
    const mean = [...train.y].reduce((sum, value) => sum + value, 0) / train.sampleCount;
    const holders = [...train.y].filter((_, i) =>
      train.x.subarray(16 * i, 16 * i + 16).includes(0),
    );
    const effect = holders.reduce((sum, value) => sum + value, 0) / holders.length - mean;

    // Token 0 stands in 16 * 0.046 bags; its value, divided by four, moves their targets.
    assert.ok(holders.length > 1000);
    assert.ok(Math.abs(effect) > 0.02, `effect of token 0: ${effect}`);
  });
});

describe('nearNormalBytes', () => {
  test('gives sums of four numbers from 0 to 63', () => {
    const bytes = nearNormalBytes(1, 54, 100_000, 'a test');

    assert.ok(bytes.every((byte) => byte <= 252));
    assert.ok(bytes.some((byte) => byte < 20) && bytes.some((byte) => byte > 232));
  });
});

/** Weights of the least squares fit without intercept, by the normal equations. */
function leastSquares({ x, y, sampleCount }: Dataset): number[] {
  const size = 10;
  const rows = Array.from({ length: size }, (_, a) =>
    Array.from({ length: size + 1 }, (__, b) => {
      let sum = 0;
      for (let i = 0; i < sampleCount; i++)
        sum += x[size * i + a]! * (b === size ? y[i]! : x[size * i + b]!);
      return sum;
    }),
  );
  for (let pivot = 0; pivot < size; pivot++) {
    for (let row = 0; row < size; row++) {
      if (row === pivot) continue;
      const factor = rows[row]![pivot]! / rows[pivot]![pivot]!;
      for (let b = pivot; b <= size; b++) rows[row]![b]! -= factor * rows[pivot]![b]!;
    }
  }
  return rows.map((row, i) => row[size]! / row[i]!);
}
