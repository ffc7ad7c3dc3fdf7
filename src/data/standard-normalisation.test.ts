import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AS_STORED } from './dataset.ts';
import { standardNormalisation } from './standard-normalisation.ts';

const floats = (...values: number[]): Float32Array<SharedArrayBuffer> => {
  const x = new Float32Array(new SharedArrayBuffer(4 * values.length));
  x.set(values);
  return x;
};

describe('standardNormalisation', () => {
  test('brings each column to mean 0 and standard deviation 1, and a constant one to 0', () => {
    const x = floats(1, 1000, 7, 3, 3000, 7);

    const { scale, shift } = standardNormalisation({ features: [3], sampleCount: 2, x });

    const normalised = [...x].map((value, i) => value * scale[i % 3]! + shift[i % 3]!);
    assert.deepEqual(
      normalised.map((value) => Math.round(value * 1e6) / 1e6),
      [-1, -1, 0, 1, 1, 0],
    );
  });

  test('takes the pixels of a channel together', () => {
    const x = new Uint8Array(new SharedArrayBuffer(8));
    x.set([0, 2, 10, 10, 2, 0, 30, 30]);

    const { scale, shift } = standardNormalisation({ features: [2, 1, 2], sampleCount: 2, x });

    assert.deepEqual(
      [scale, shift],
      [
        [1, Math.fround(0.1)],
        [-1, -2],
      ],
    );
  });

  test('leaves token ids alone', () => {
    const x = new Int32Array(new SharedArrayBuffer(8));

    assert.equal(standardNormalisation({ features: [2], sampleCount: 1, x }), AS_STORED);
  });
});
