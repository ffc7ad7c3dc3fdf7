import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { usualMicroBatchOf } from './models.ts';

describe('usualMicroBatchOf', () => {
  const BASE = { layers: [12], width: 768 };

  test('is small for large models, in a power of two that a core computes in seconds', () => {
    // BERT-base: 85 million weights in its blocks, 6 operations each for 128 positions.
    assert.equal(usualMicroBatchOf('bert', BASE, 128), 2);
    assert.equal(usualMicroBatchOf('gpt2', BASE, 1024), 1);
    assert.equal(usualMicroBatchOf('gpt', { layers: [24], width: 2048 }, 2048), 1);
  });

  test('is that of every model where a sample is quick, or nobody knows', () => {
    assert.equal(usualMicroBatchOf('bert', { layers: [2], width: 32 }, 128), 32);
    assert.equal(usualMicroBatchOf('mlp', {}, 128), undefined);
    assert.equal(usualMicroBatchOf('net.onnx', {}, 128), undefined);
  });
});
