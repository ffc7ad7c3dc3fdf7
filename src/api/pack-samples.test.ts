import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type ModelInput, packSamples } from './pack-samples.ts';

describe('packSamples', () => {
  test('takes all samples in one array as they are', () => {
    const values = Float32Array.of(1, 2, 3, 4);

    assert.deepEqual(packSamples(values, [2], 'float32'), { count: 2, values });
    assert.equal(packSamples(values, [2], 'float32').values, values, 'without a copy');
  });

  test('joins one array per sample, of any kind', () => {
    const rows = [[1, 2, 3, 4], Uint8Array.of(5, 6, 7, 8)];

    const { count, values } = packSamples(rows, [2, 2], 'float32');

    assert.deepEqual([count, values], [2, Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8)]);
  });

  test('gives tokens in the type of the file', () => {
    assert.deepEqual(packSamples([[1, 2]], [2], 'int32').values, Int32Array.of(1, 2));
    assert.deepEqual(packSamples([[1, 2]], [2], 'int64').values, BigInt64Array.of(1n, 2n));
    assert.deepEqual(packSamples(Int32Array.of(3), [1], 'int64').values, BigInt64Array.of(3n));
  });

  const REFUSED: readonly [ModelInput, 'float32' | 'int32', RegExp][] = [
    [new Float32Array(5), 'float32', /expected a multiple of 4 numbers.*\[2, 2\], got 5$/],
    [[[1, 2, 3, 4], [1]], 'float32', /expected 4 numbers in sample 1.*\[2, 2\], got 1$/],
    [new Float32Array(0), 'float32', /expected at least one sample, got none$/],
    [[], 'float32', /expected at least one sample, got none$/],
    [new Int32Array(4), 'float32', /expected a Float32Array of features.*got Int32Array$/],
    [new Float32Array(4), 'int32', /expected an Int32Array of token ids.*got Float32Array$/],
    [
      [
        [0, 0, 0, 0],
        [0, 0, Number.NaN, 0],
      ],
      'float32',
      /finite .* sample 1, got NaN at .* 2$/,
    ],
    [[[0, 0, 0, 1e300]], 'float32', /finite numbers in sample 0, got 1e\+300 at .* 3$/],
    [[[0, 0, 0, 0.5]], 'int32', /whole numbers from 0.* sample 0, got 0.5 at its position 3$/],
    [[[0, -1, 0, 0]], 'int32', /whole numbers from 0.* sample 0, got -1 at its position 1$/],
    ['1234' as unknown as ModelInput, 'float32', /got String$/],
  ];
  for (const [samples, type, message] of REFUSED)
    test(`refuses with ${message.source}`, () => {
      assert.throws(() => packSamples(samples, [2, 2], type), { code: 'CONFIG_INVALID', message });
    });
});
