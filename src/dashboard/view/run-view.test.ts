import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { joined, stepOf } from '../../../test/dashboard-events.ts';
import type { FeedEvent, FeedRecord } from './feed-record.ts';
import { applyRecord, makeRunView, type RunView } from './run-view.ts';

const LOST: Extract<FeedEvent, { kind: 'worker-lost' }> = {
  ...{ kind: 'worker-lost', rank: 2, workerId: 'w2', step: 3 },
  reason: 'its connection ended',
};
const REISSUED: FeedEvent = {
  ...{ kind: 'micro-batches-reissued', step: 4, fromRank: 2, microBatches: [8, 9, 10, 11] },
};

function recordsOf(events: readonly FeedEvent[]): FeedRecord[] {
  return events.map((event, i) => ({ id: i + 1, timeMs: 1e12 + 100 * i, event, text: event.kind }));
}

function viewOf(events: readonly FeedEvent[]): RunView {
  const view = makeRunView('a');
  for (const record of recordsOf(events)) applyRecord(view, record);
  return view;
}

describe('RunView', () => {
  test('is the same for who came in the middle as for who was there from the beginning', () => {
    const events = [
      ...[joined(0), joined(1), joined(2), stepOf(1), stepOf(2), stepOf(3), LOST, REISSUED],
      ...[stepOf(4), joined(2, { step: 4 }), stepOf(5)],
    ];
    const records = recordsOf(events);
    const whole = makeRunView('a');
    for (const record of records) applyRecord(whole, record);

    for (const cut of [0, 5, 8, 11]) {
      const before = viewOf(events.slice(0, cut));
      const later = JSON.parse(JSON.stringify(before)) as RunView;
      // What comes twice changes nothing.
      for (const record of records.slice(Math.max(0, cut - 2))) applyRecord(later, record);
      assert.deepEqual(later, whole);
    }
  });

  test('shows a worker that is lost, why, and that its work is given to others', () => {
    const view = viewOf([joined(0), joined(1), joined(2), stepOf(3), LOST, REISSUED]);

    const [, , worker] = view.workers;
    assert.equal(worker?.state, 'lost');
    assert.equal(worker?.reason, 'its connection ended');
    assert.deepEqual(
      view.timeline.marks.filter(({ rank }) => rank === 2).map(({ what }) => what),
      ['joined', 'lost', '4 micro-batches to others'],
    );
  });

  test('forgets what was measured of a worker that begins anew', () => {
    const view = viewOf([joined(0), stepOf(1, [900, 80, 80]), LOST, joined(0, { step: 2 })]);

    assert.equal(view.workers[0]?.mean.steps, 0);
    assert.equal(view.workers[0]?.state, 'training');
  });

  test('goes back with a run that goes back to an older state', () => {
    const back = { kind: 'rolled-back', fromStep: 30, toStep: 10, reason: 'lost' } as const;
    const view = viewOf([...Array.from({ length: 30 }, (_, i) => stepOf(i + 1)), back]);

    assert.equal(view.step, 10);
    assert.equal(view.history.steps.at(-1), 10);
  });

  test('stays as small as it is after an hour of steps', () => {
    const view = makeRunView('a');
    let id = 0;
    const tell = (event: FeedEvent): void =>
      applyRecord(view, { id: ++id, timeMs: 1e12 + 100 * id, event, text: 'something' });
    for (let step = 1; step <= 36_000; step++) {
      tell(stepOf(step));
      if (step % 100 === 0) tell({ ...LOST, rank: 3 + step, step });
    }

    assert.ok(JSON.stringify(view).length < 1_000_000);
    assert.equal(view.history.steps.at(-1), 36_000);
    assert.ok(view.history.stride >= 60);
  });

  test('ends as its run does', () => {
    const view = viewOf([stepOf(1), { kind: 'run-ended', status: 'failed', reason: 'no memory' }]);

    assert.deepEqual([view.phase, view.reason], ['failed', 'no memory']);
    assert.deepEqual([...new Set(view.workers.map(({ state }) => state))], ['ended']);
  });
});
