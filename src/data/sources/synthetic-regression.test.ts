import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { describeDataset } from '../describe-dataset.ts';
import { makeSyntheticRegression } from './synthetic-regression.ts';

describe('makeSyntheticRegression', () => {
  test('gives the recorded bits', () => {
    const { train, test: held } = makeSyntheticRegression({ seed: 42 });

    assert.equal(train.digest, '1b2f4fc042049a379cb613b32fbfa6e0ca025d40a4c5047ca64c73b4e7920c51');
    assert.equal(held.digest, '03df2a6a6c7ee565bb0f5934ffc263fc67bc59af2f88e6201bff05a18c1a5ab5');
  });

  test('gives sample i the same bits whatever the counts', () => {
    const few = makeSyntheticRegression({ seed: 7, sampleCount: 10, testSampleCount: 3 });
    const many = makeSyntheticRegression({ seed: 7, sampleCount: 50, testSampleCount: 9 });

    assert.deepEqual(many.train.x.slice(0, 160), few.train.x.slice());
    assert.deepEqual(many.train.y.slice(0, 10), few.train.y.slice());
    assert.deepEqual(many.test.y.slice(0, 3), few.test.y.slice());
  });

  test('gives other samples in test than in training, and others for another seed', () => {
    const first = makeSyntheticRegression({ seed: 7, sampleCount: 10, testSampleCount: 10 });
    const second = makeSyntheticRegression({ seed: 8, sampleCount: 10, testSampleCount: 10 });

    assert.notEqual(first.train.digest, first.test.digest);
    assert.notEqual(first.train.digest, second.train.digest);
  });

  test('has features of mean 0 and variance 1, and targets of a size near 1', () => {
    const splits = makeSyntheticRegression({ seed: 42 });
    const x = splits.train.x as Float32Array;
    const mean = x.reduce((sum, value) => sum + value, 0) / x.length;
    const variance = x.reduce((sum, value) => sum + value * value, 0) / x.length - mean * mean;
    const { targetStd } = describeDataset(splits).splits[0]!;

    assert.ok(
      Math.abs(mean) < 0.01 && Math.abs(variance - 1) < 0.01,
      `mean ${mean}, variance ${variance}`,
    );
    assert.ok(
      targetStd !== undefined && targetStd > 0.4 && targetStd < 2,
      `target std ${targetStd}`,
    );
  });

  test('is learnable: more than noise follows from the features', () => {
    // Least squares on each feature alone already explains part of the targets; noise would explain
    // about 16/8192.
    const { train } = makeSyntheticRegression({ seed: 42 });
    const targetVariance =
      [...train.y].reduce((sum, value) => sum + value * value, 0) / train.sampleCount;
    let explained = 0;
    for (let feature = 0; feature < 16; feature++) {
      let covariance = 0;
      for (let i = 0; i < train.sampleCount; i++)
        covariance += train.x[16 * i + feature]! * train.y[i]!;
      explained += (covariance / train.sampleCount) ** 2;
    }

    assert.ok(
      explained / targetVariance > 0.2,
      `linear part explains ${explained / targetVariance}`,
    );
  });
});
