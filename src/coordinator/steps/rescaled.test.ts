import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeArenaLayout } from '../../kernels/layout.ts';
import { rescaled } from './rescaled.ts';

test('rescaled multiplies each tensor by its number, to the nearest whole number', () => {
  const layout = makeArenaLayout([
    { name: 'weight', shape: [3] },
    { name: 'bias', shape: [2] },
  ]);
  const sum = new Int32Array(layout.paddedLength);
  sum.set([7, -7, 2 ** 30], 0);
  sum.set([100, -101], 16);

  const scaled = new Int32Array(rescaled(new Uint8Array(sum.buffer), layout, [0.5, 2 / 3]).buffer);

  assert.deepEqual([...scaled.subarray(0, 4)], [4, -3, 2 ** 29, 0]);
  assert.deepEqual([...scaled.subarray(16, 19)], [67, -67, 0]);
});
