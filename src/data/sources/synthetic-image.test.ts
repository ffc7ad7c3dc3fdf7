import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Dataset } from '../dataset.ts';
import { makeSyntheticImages } from './synthetic-image.ts';

const small = {
  seed: 42,
  sampleCount: 600,
  testSampleCount: 200,
  classes: 5,
  channels: 3,
  size: 16,
};
const PIXELS = 3 * 16 * 16;

/** Part of `dataset` whose nearest class mean of `train` is that of its label. */
function accuracyOfNearestMean(train: Dataset, dataset: Dataset): number {
  const means = Array.from({ length: 5 }, () => new Float64Array(PIXELS));
  const counts = new Int32Array(5);
  train.y.forEach((label) => (counts[label]! += 1));
  train.x.forEach((byte, i) => {
    const label = train.y[Math.floor(i / PIXELS)]!;
    means[label]![i % PIXELS]! += byte / counts[label]!;
  });
  const distance = (mean: Float64Array, sample: number): number =>
    mean.reduce((sum, value, i) => sum + (value - dataset.x[sample * PIXELS + i]!) ** 2, 0);
  const right = [...dataset.y].filter((label, sample) => {
    const distances = means.map((mean) => distance(mean, sample));
    return distances.indexOf(Math.min(...distances)) === label;
  });
  return right.length / dataset.sampleCount;
}

describe('makeSyntheticImages', () => {
  test('gives the recorded bits', () => {
    const { train, test: held } = makeSyntheticImages(small);

    assert.equal(train.digest, '242d2f99949316c0840676c18a5f87be64bab4f677df5fa8b7549c6342f64335');
    assert.equal(held.digest, '66744f50c0e367db3af70d9d75a49142751d41a1409d5316c0292d530df13c55');
  });

  test('gives sample i the same bits whatever the counts, and others in the test', () => {
    const many = makeSyntheticImages(small);
    const few = makeSyntheticImages({ ...small, sampleCount: 7, testSampleCount: 7 });

    assert.deepEqual(few.train.x.slice(), many.train.x.slice(0, few.train.x.length));
    assert.deepEqual(few.train.y.slice(), many.train.y.slice(0, 7));
    assert.notDeepEqual(few.test.x.slice(), few.train.x.slice());
  });

  test('can be learned: most images are nearest to the mean of their class, of all labels', () => {
    const { train, test: held } = makeSyntheticImages(small);

    assert.equal(new Set(held.y).size, 5);
    const accuracy = accuracyOfNearestMean(train, held);
    assert.ok(accuracy > 0.9, `accuracy ${accuracy}; chance is 0.2`);
  });

  test('uses the whole range of bytes, in any number of channels and size', () => {
    const { train } = makeSyntheticImages({ ...small, channels: 1, size: 5, sampleCount: 50 });

    assert.deepEqual(train.features, [1, 5, 5]);
    assert.ok(Math.min(...train.x) < 32 && Math.max(...train.x) > 224);
  });
});
