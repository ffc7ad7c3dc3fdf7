import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { likeliestClasses } from './likeliest-classes.ts';

describe('likeliestClasses', () => {
  const scores = Float32Array.of(0, 5, 2, 1, 1, 4, 3, 3, 1, 8, 7, 6);

  test('takes the greatest of every sample or position, of equal ones the first', () => {
    assert.deepEqual([...likeliestClasses('classification', scores, [4, 3])], [1, 2, 0, 0]);
    assert.deepEqual([...likeliestClasses('sequence', scores, [2, 2, 3])], [1, 2, 0, 0]);
  });

  test('takes the greatest channel of every pixel', () => {
    // Two samples of [classes 3, height 1, width 2].
    assert.deepEqual([...likeliestClasses('segmentation', scores, [2, 3, 1, 2])], [1, 0, 2, 1]);
  });

  test('gives nothing where there are no classes', () => {
    assert.equal(likeliestClasses('regression', scores, [4, 3]).length, 0);
  });
});
