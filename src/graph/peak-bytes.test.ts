import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { GraphBuilder } from './builder.ts';
import { peakBytes } from './peak-bytes.ts';

describe('peakBytes', () => {
  test('counts what is alive at once: a chain holds two results, whatever its length', () => {
    const g = new GraphBuilder('chain');
    let x = g.input('x', 'float32', [10]);
    for (let i = 0; i < 5; i++) x = g.relu(x);
    g.output('y', x);

    // The input is not counted, so the first result stands
    // alone; the others stand beside the one before.
    assert.equal(peakBytes(g.build()), 2 * 40);
  });

  test('keeps a result until its last use, and outputs to the end', () => {
    const g = new GraphBuilder('fork');
    const x = g.input('x', 'float32', [10]);
    const early = g.relu(x); // 40, used last
    const large = g.matMul(g.unsqueeze(early, [1]), g.unsqueeze(x, [0])); // 40, 40, [10, 10] = 400
    g.output('kept', large);
    g.output('y', g.add(early, early)); // 40 more, while early and large live
    assert.equal(peakBytes(g.build()), 40 + 40 + 40 + 400);
  });
});
