import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { GraphBuilder } from '../graph/builder.ts';
import type { Graph } from '../graph/types.ts';
import { noteOnMicroBatch } from './micro-batch-cost.ts';

/** A product of `samples` rows with a matrix of `width` x `width`. */
function product(samples: number, width: number): Graph {
  const g = new GraphBuilder('product');
  const x = g.input('x', 'float32', [samples, width]);
  g.output('y', g.matMul(x, g.input('w', 'float32', [width, width])));
  return g.build();
}

describe('noteOnMicroBatch', () => {
  test('names a size that a core computes in some seconds', () => {
    const width = 131_072; // 34 billion operations for a sample

    assert.match(
      noteOnMicroBatch(product(32, width), 32) ?? '',
      /^micro_batch: 32 samples take 1100 billion operations .* with --micro-batch 4 more workers /,
    );
    assert.equal(noteOnMicroBatch(product(8, width), 8), undefined);
  });

  test('names a size that has room where memory is what it takes', () => {
    const g = new GraphBuilder('maps');
    g.output('y', g.relu(g.input('x', 'float32', [32, 2 ** 26])));

    const note = noteOnMicroBatch(g.build(), 32) ?? '';

    assert.match(
      note,
      / 0 billion operations and up to 8\.0 GiB on every lane; with --micro-batch 8 /,
    );
  });

  test('says nothing of a single sample, which cannot be divided', () => {
    const g = new GraphBuilder('map');
    g.output('y', g.relu(g.input('x', 'float32', [1, 2 ** 31])));

    assert.equal(noteOnMicroBatch(g.build(), 1), undefined);
  });
});
