import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { permutation, philox4x32, RandomWords } from './random.ts';

function philox(counter: [number, number, number, number], key: [number, number]): string[] {
  const out = new Uint32Array(4);
  philox4x32(counter, key, out);
  return [...out].map((word) => word.toString(16).padStart(8, '0'));
}

describe('philox4x32', () => {
  // The three known answers published with Random123 (kat_vectors, philox4x32 10).
  test('gives the published answer for zeros', () => {
    assert.deepEqual(philox([0, 0, 0, 0], [0, 0]), [
      '6627e8d5',
      'e169c58d',
      'bc57ac4c',
      '9b00dbd8',
    ]);
  });

  test('gives the published answer for all ones', () => {
    const ones = 0xffffffff;
    assert.deepEqual(philox([ones, ones, ones, ones], [ones, ones]), [
      '408f276d',
      '41c83b0e',
      'a20bc7c6',
      '6d5451fd',
    ]);
  });

  test('gives the published answer for the digits of pi', () => {
    assert.deepEqual(
      philox([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]),
      ['d16cfe09', '94fdcceb', '5001e420', '24126ea1'],
    );
  });
});

describe('RandomWords', () => {
  test('gives the same word whatever was read before', () => {
    const forwards = new RandomWords(7, 'init', 3);
    const first = [0, 1, 2, 3, 4, 5, 6, 7, 8].map((i) => forwards.word(i));

    const backwards = new RandomWords(7, 'init', 3);
    const second = [8, 7, 6, 5, 4, 3, 2, 1, 0].map((i) => backwards.word(i)).reverse();

    assert.deepEqual(first, second);
  });

  test('gives other words for another seed, purpose or counter', () => {
    const words = [
      new RandomWords(7, 'init', 3),
      new RandomWords(8, 'init', 3),
      new RandomWords(7, 'shuffle', 3),
      new RandomWords(7, 'init', 4),
    ].map((source) => source.word(0));

    assert.equal(new Set(words).size, words.length);
  });
});

describe('permutation', () => {
  test('holds every index once and differs by epoch', () => {
    const first = permutation(1000, new RandomWords(7, 'shuffle', 0));
    const second = permutation(1000, new RandomWords(7, 'shuffle', 1));

    assert.equal(new Set(first).size, 1000);
    assert.notDeepEqual([...first], [...second]);
  });

  test('handles lengths 0 and 1', () => {
    assert.deepEqual([...permutation(0, new RandomWords(1, 'shuffle'))], []);
    assert.deepEqual([...permutation(1, new RandomWords(1, 'shuffle'))], [0]);
  });
});
