import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { backlogOf, doneInMs, worthTaking } from './stealing.ts';

const EQUAL = { lanes: 1, microBatchMs: 10 };

describe('backlogOf', () => {
  test('counts what is not started by the time since the leases were given', () => {
    const backlog = backlogOf({ ...EQUAL, unfinished: 6, elapsedMs: 23 });

    assert.deepEqual(backlog, { ...EQUAL, notStarted: 3, freeInMs: 7 });
    assert.equal(doneInMs(backlog), 37);
    assert.equal(doneInMs(backlog, 1), 27);
  });

  test('takes who should be done with all, and is not, to be half-way', () => {
    const { notStarted, microBatchMs } = backlogOf({ ...EQUAL, unfinished: 8, elapsedMs: 80 });

    assert.deepEqual([notStarted, microBatchMs], [3, 20]);
  });
});

describe('worthTaking', () => {
  const backlog = backlogOf({ ...EQUAL, unfinished: 6, elapsedMs: 5 });

  test('gives half of the backlog to an equal', () => {
    assert.equal(worthTaking(backlog, EQUAL), 3);
    assert.equal(worthTaking(backlog, { lanes: 1, microBatchMs: undefined }), 3);
  });

  test('gives more to who is faster or has more lanes, and less to who is slower', () => {
    assert.equal(worthTaking(backlog, { lanes: 1, microBatchMs: 2 }), 5);
    assert.equal(worthTaking(backlog, { ...EQUAL, lanes: 2 }), 4);
    assert.equal(worthTaking(backlog, { lanes: 1, microBatchMs: 40 }), 1);
  });

  test('gives nothing to who would be done later, by its speed or by its link', () => {
    assert.equal(worthTaking(backlog, { lanes: 1, microBatchMs: 60 }), 0);
    assert.equal(worthTaking(backlog, { ...EQUAL, linkMs: 60 }), 0);
  });
});
