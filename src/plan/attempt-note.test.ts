import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { recordOf } from '../../test/pass-facts.ts';
import { makeTestPlan } from '../../test/scripted-worker.ts';
import type { MicroBatchRecord } from '../protocol/messages.ts';
import {
  type AttemptNote,
  noteBytesIn,
  noteBytesOf,
  readNote,
  recordsFrom,
  writeNote,
} from './attempt-note.ts';

const TENSORS = 3;

/** What is read from the note of `records`, in room for `room` micro-batches. */
function noteOf(records: readonly MicroBatchRecord[], room = records.length): AttemptNote {
  // What another note has left there.
  const bytes = new Uint8Array(noteBytesOf(TENSORS, room)).fill(0xff);
  writeNote(records, TENSORS, bytes);
  return readNote(bytes, TENSORS);
}

describe('writeNote and readNote', () => {
  const float = fc.float({ min: 0, max: Math.fround(1e6), noNaN: true });
  const someRecord = fc.record({
    microBatch: fc.nat(1_000),
    sampleCount: fc.integer({ min: 1, max: 64 }),
    lossSum: float,
    correctSum: float,
    maxima: fc.array(float, { minLength: TENSORS, maxLength: TENSORS }),
    computeMs: fc.constant(1),
  });

  test('keep every loss, and the largest element of each tensor', () => {
    fc.assert(
      fc.property(fc.array(someRecord, { maxLength: 12 }), fc.nat(3), (records, more) => {
        const { isFinite, maxima, losses } = noteOf(records, records.length + more);

        assert.ok(isFinite);
        assert.deepEqual(
          losses,
          records.map(({ lossSum, correctSum }) => ({ lossSum, correctSum })),
        );
        const largest = (tensor: number): number =>
          Math.max(0, ...records.map((record) => record.maxima[tensor]!));
        assert.deepEqual(maxima, [largest(0), largest(1), largest(2)]);
      }),
    );
  });

  test('tell of a number that is not finite, as it is computed and as it travels', () => {
    for (const change of [{ lossSum: Number.NaN }, { lossSum: null }, { maxima: [1, null, 1] }]) {
      const records = [recordOf(0, { maxima: [1, 1, 1] }), recordOf(1, change)];

      assert.equal(noteOf(records).isFinite, false);
    }
  });

  test('believe no count of micro-batches that there is no room for', () => {
    const bytes = new Uint8Array(noteBytesOf(TENSORS, 2));
    for (const [count, expected] of [
      [-1, 0],
      [2 ** 31 - 1, 3],
    ] as const) {
      new DataView(bytes.buffer).setInt32(0, count, true);

      assert.equal(readNote(bytes, TENSORS).losses.length, expected);
    }
  });
});

describe('recordsFrom', () => {
  const note = noteOf([recordOf(4, { maxima: [1, 5, 2] }), recordOf(5, { maxima: [3, 1, 2] })]);

  test('gives each micro-batch its loss and samples, and all the largest elements of any', () => {
    const records = recordsFrom(note, [4, 5], (microBatch) => 10 * microBatch);

    const results = { lossSum: 1, correctSum: 0, maxima: [3, 5, 2], computeMs: 0 };
    assert.deepEqual(records, [
      { microBatch: 4, sampleCount: 40, ...results },
      { microBatch: 5, sampleCount: 50, ...results },
    ]);
  });

  test('gives nothing of other micro-batches than the note has, or of one that is not finite', () => {
    assert.deepEqual(
      recordsFrom(note, [4], () => 2),
      [],
    );
    assert.deepEqual(
      recordsFrom({ ...note, isFinite: false }, [4, 5], () => 2),
      [],
    );
  });
});

describe('noteBytesIn', () => {
  /** Elements of a sum, and samples of a global batch in micro-batches of two. */
  const bytesIn = (sumElements: number, samples: number, size: number): number =>
    noteBytesIn(
      makeTestPlan({
        sumElements,
        train: { sampleCount: samples, globalBatch: samples, microBatch: 2 },
      }),
      size,
    );

  test('has room for all micro-batches of a step, in whole vectors', () => {
    fc.assert(
      fc.property(fc.nat(5_000), fc.nat(5_000), (tensors, microBatches) => {
        const bytes = noteBytesOf(tensors, microBatches);

        assert.equal(bytes % 16, 0);
        assert.ok(bytes >= 8 + 4 * tensors + 8 * microBatches);
      }),
    );
    assert.equal(bytesIn(4, 16, 2), noteBytesOf(1, 8));
  });

  test('is 0 where sums are large', () => {
    assert.notEqual(bytesIn(16 << 20, 16, 2), 0);
    assert.equal(bytesIn((16 << 20) + 4, 16, 2), 0);
  });

  test('is 0 where the notes of all would be large beside a sum, or at all', () => {
    // A note on 1,000 micro-batches has 8,016 bytes.
    assert.notEqual(bytesIn(4, 2_000, 1), 0);
    assert.equal(bytesIn(4, 2_000, 2), 0);
    assert.notEqual(bytesIn(1 << 20, 2_000, 8), 0);
    assert.equal(bytesIn(1 << 20, 2_000, 9), 0);
  });
});
