import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { recordOf } from '../../../test/pass-facts.ts';
import type { MicroBatchRecord } from '../../protocol/messages.ts';
import { PartsOfRank } from './compute-parts.ts';

const told = { computeMs: 10, dataMs: 2, quantiseMs: 1, sampleCount: 4 };

function contributionOf(records: readonly MicroBatchRecord[], updateMs: number) {
  return { kind: 'contribution' as const, pass: 0, records: [...records], busyMs: 0, updateMs };
}

describe('PartsOfRank', () => {
  test('adds up what lanes that go side by side tell of micro-batches, and of the update', () => {
    const parts = new PartsOfRank();

    parts.add(contributionOf([recordOf(0, told), recordOf(1, told), recordOf(2, told)], 0.5), 2);

    const expected = { dataMs: 3, graphMs: 10.5, quantiseMs: 1.5, updateMs: 0.5 };
    assert.deepEqual(parts.take(), expected);
    assert.equal(parts.take(), undefined, 'the next step begins with nothing');
  });

  test('takes for the forward half what evaluating as many samples took, never more than all', () => {
    const parts = new PartsOfRank();
    parts.evaluated([recordOf(0, { computeMs: 6, sampleCount: 12 })]);

    parts.add(contributionOf([recordOf(0, told)], 0), 1);
    assert.equal(parts.take()?.forwardMs, 2);

    parts.evaluated([recordOf(0, { computeMs: 60, sampleCount: 12 })]);
    parts.add(contributionOf([recordOf(0, told)], 0), 1);
    assert.equal(parts.take()?.forwardMs, 7);
  });

  test('says nothing of engines that do not tell', () => {
    const parts = new PartsOfRank();

    parts.add(contributionOf([recordOf(0)], 1), 1);

    assert.equal(parts.take(), undefined);
  });
});
