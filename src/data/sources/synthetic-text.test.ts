import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { makeSyntheticText } from './synthetic-text.ts';

const small = {
  seed: 42,
  sampleCount: 400,
  testSampleCount: 100,
  classes: 3,
  vocabulary: 60,
  length: 40,
};

describe('makeSyntheticText', () => {
  test('gives the recorded bits', () => {
    const { train, test: held } = makeSyntheticText(small);

    assert.equal(train.digest, '4d876c691dca92c4783a76b6c39cf97b801c7e10557ae91e73b8b4df575da212');
    assert.equal(held.digest, '59e605008d8d79ce6ee723b9876e29b42d3752bf17b1399c7efcddfb92ce4435');
  });

  test('labels every sample with the class that has the most of its eight words in it', () => {
    const { train } = makeSyntheticText(small);

    for (let sample = 0; sample < train.sampleCount; sample++) {
      const tokens = [...train.x.subarray(sample * 40, (sample + 1) * 40)];
      const counts = [0, 1, 2].map(
        (label) => tokens.filter((id) => id >= 8 * label && id < 8 * label + 8).length,
      );
      assert.equal(train.y[sample], counts.indexOf(Math.max(...counts)));
    }
    for (const label of [0, 1, 2]) {
      const share = [...train.y].filter((one) => one === label).length / train.sampleCount;
      assert.ok(share > 0.25 && share < 0.45, `class ${label}: ${share}`);
    }
  });

  test('uses the whole vocabulary and nothing beyond', () => {
    const { train } = makeSyntheticText(small);

    assert.equal(new Set(train.x).size, 60);
    assert.equal(Math.max(...train.x), 59);
    assert.equal(train.vocabulary, 60);
  });

  test('gives sample i the same bits whatever the counts', () => {
    const many = makeSyntheticText(small);
    const few = makeSyntheticText({ ...small, sampleCount: 5, testSampleCount: 5 });

    assert.deepEqual(few.train.x.slice(), many.train.x.slice(0, 200));
    assert.notDeepEqual(few.test.x.slice(), few.train.x.slice());
  });

  test('refuses a vocabulary that has no room for the words of the classes', () => {
    assert.throws(() => makeSyntheticText({ ...small, vocabulary: 5 }), {
      code: 'CONFIG_INVALID',
      message: /expected a vocabulary of at least 6, two tokens for each of 3 classes, got 5/,
    });
    assert.equal(makeSyntheticText({ ...small, vocabulary: 6 }).train.vocabulary, 6);
  });
});
