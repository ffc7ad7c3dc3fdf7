import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { percentile, sampleDeviation } from './percentile.ts';

describe('percentile', () => {
  test('lies between neighbours, in proportion, whatever the order', () => {
    assert.equal(percentile([4, 1, 3, 2], 50), 2.5);
    assert.equal(percentile([4, 1, 3, 2], 95), 3.85);
    assert.equal(percentile([10, 20], 0), 10);
    assert.equal(percentile([10, 20], 100), 20);
  });

  test('is the value when there is one, and null when there is none', () => {
    assert.equal(percentile([7], 99), 7);
    assert.equal(percentile([], 50), null);
  });
});

describe('sampleDeviation', () => {
  test('divides by one less than there are values', () => {
    assert.equal(sampleDeviation([2, 4, 4, 4, 5, 5, 7, 9]), Math.sqrt(32 / 7));
  });

  test('is null below two values', () => {
    assert.equal(sampleDeviation([5]), null);
  });
});
