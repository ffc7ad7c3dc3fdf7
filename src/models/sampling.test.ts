import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RandomWords } from '../base/random.ts';
import { sampleToken } from './sampling.ts';

const LOGITS = Float32Array.of(Math.log(1), Math.log(5), Math.log(4), -100);

function sharesOf(options: { temperature: number; topK: number }): number[] {
  const words = new RandomWords(5, 'probe');
  const counts = [0, 0, 0, 0];
  for (let i = 0; i < 20_000; i++) {
    const id = sampleToken(LOGITS, options, words.uniform(i));
    counts[id] = (counts[id] ?? 0) + 1;
  }
  return counts.map((count) => count / 20_000);
}

function isClose(actual: readonly number[], expected: readonly number[]): boolean {
  return actual.every((value, i) => Math.abs(value - (expected[i] ?? 0)) < 0.015);
}

describe('sampleToken', () => {
  test('draws tokens as often as the softmax says', () => {
    assert.ok(isClose(sharesOf({ temperature: 1, topK: 4 }), [0.1, 0.5, 0.4, 0]));
  });

  test('sharpens the choice with a temperature below 1', () => {
    // Squares: 1, 25 and 16 of 42.
    assert.ok(isClose(sharesOf({ temperature: 0.5, topK: 4 }), [1 / 42, 25 / 42, 16 / 42, 0]));
  });

  test('draws among the likeliest only', () => {
    assert.ok(isClose(sharesOf({ temperature: 1, topK: 2 }), [0, 5 / 9, 4 / 9, 0]));
  });

  test('takes the first of the likeliest at temperature 0', () => {
    assert.equal(sampleToken(Float32Array.of(1, 3, 3), { temperature: 0, topK: 3 }, 0.99), 1);
  });
});
