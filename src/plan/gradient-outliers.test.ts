import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { MicroBatchRecord } from '../protocol/messages.ts';
import { findOtherWeights, findOutliers } from './gradient-outliers.ts';

function record(
  microBatch: number,
  maxima: (number | null)[],
  lossSum: number | null = 1,
): MicroBatchRecord {
  return { microBatch, sampleCount: 1, lossSum, correctSum: 0, maxima, computeMs: 1 };
}

/** Two micro-batches per worker. */
const ownerOf = (microBatch: number): string => `worker-${Math.floor(microBatch / 2)}`;
const found = (records: MicroBatchRecord[]): number[] =>
  findOutliers(records, ownerOf).map(({ microBatch }) => microBatch);

describe('findOtherWeights', () => {
  const foundAt = (weights: number[]): number[] =>
    findOtherWeights(
      weights.map((weightsChecksum, i) => ({ ...record(i, [1]), weightsChecksum })),
      ownerOf,
    ).map(({ microBatch }) => microBatch);

  test('finds nothing where all replicas have the same weights', () => {
    assert.deepEqual(foundAt([7, 7, 7, 7, 7, 7]), []);
  });

  test('finds one record of each worker that differs from most, or of one of its lanes', () => {
    assert.deepEqual(foundAt([7, 7, 8, 8, 7, 7]), [2]);
    assert.deepEqual(foundAt([7, 7, 7, 8, 7, 7]), [3]);
    assert.deepEqual(foundAt([7, 7, 8, 8, 9, 9]), [2, 4]);
  });
});

describe('findOutliers', () => {
  test('finds nothing among gradients that differ by a few times', () => {
    assert.deepEqual(
      found([1, 2, 0.5, 3, 1.5, 0.4].map((max, i) => record(i, [max, max / 10]))),
      [],
    );
  });

  test(
    'finds the micro-batches of a worker whose tensor is far above or below the others, oddest ' +
      'first',
    () => {
      const maxima = [1, 1.2, 0.9, 1.1, 30, 50];
      assert.deepEqual(found(maxima.map((max, i) => record(i, [1, max]))), [5, 4]);
      assert.deepEqual(found(maxima.map((max, i) => record(i, [1, 1 / max]))), [5, 4]);
    },
  );

  test('finds zeros where others have gradients, and gradients where others have zeros', () => {
    assert.deepEqual(found([0, 0, 1, 1, 1, 1].map((max, i) => record(i, [max]))), [0, 1]);
    assert.deepEqual(
      found([1, 1, 0, 0, 0, 0].map((max, i) => record(i, [max]))).slice(0, 2),
      [0, 1],
    );
  });

  test('finds what is not finite, also without others to compare with', () => {
    assert.deepEqual(found([record(0, [null]), record(1, [1])]), [0]);
    assert.deepEqual(found([record(0, [1]), record(1, [1], null)]), [1]);
  });
});
