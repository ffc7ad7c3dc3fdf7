import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { joined, stepOf } from '../../../test/dashboard-events.ts';
import type { FeedEvent } from './feed-record.ts';
import { applyRecord, makeRunView, type RunView } from './run-view.ts';
import { doingVerdict, learningVerdict, remainingMs, slowVerdict } from './verdicts.ts';

const START_MS = 1e12;
const STEP_MS = 100;
const STALLED: FeedEvent = {
  ...{ kind: 'worker-stalled', rank: 1, workerId: 'w1', step: 9, silentMs: 2_000 },
  reason: 'silent for 2 s',
};
const LOST: FeedEvent = {
  ...{ kind: 'worker-lost', rank: 1, workerId: 'w1', step: 9 },
  reason: 'its connection ended',
};

function viewOf(...events: readonly FeedEvent[]): RunView {
  const view = makeRunView('a');
  for (const [i, event] of events.entries())
    applyRecord(view, { id: i + 1, timeMs: START_MS + STEP_MS * i, event });
  return view;
}

const CREW = [joined(0), joined(1, { host: 'mini' }), joined(2)];

/** So many steps in which ranks compute for so long. */
function steps(count: number, computeMs: readonly number[]): FeedEvent[] {
  return Array.from({ length: count }, (_, i) => stepOf(i + 1, computeMs));
}

describe('slowVerdict', () => {
  test('names who computes slowly, where, how much, and what work that leaves it', () => {
    const { tone, text } = slowVerdict(viewOf(...CREW, ...steps(30, [80, 240, 80])));

    assert.equal(tone, 'warn');
    assert.equal(
      text,
      'Rank 1 on mini computes 3 times as long as the others; it gets 33 % of the work',
    );
  });

  test('names the link of who is reached slowly', () => {
    const slow = steps(30, [80, 80, 80]).map((event) => {
      if (event.kind !== 'step') return event;
      const ranks = event.ranks.map((part) =>
        part.rank === 2 ? { ...part, communicateMs: 50 } : part,
      );
      return { ...event, ranks };
    });

    assert.match(slowVerdict(viewOf(...CREW, ...slow)).text, /^Rank 2 on desk sends 5 times/);
  });

  test('says nobody where all are about as fast, and nothing too early', () => {
    assert.equal(slowVerdict(viewOf(...CREW, ...steps(30, [80, 90, 100]))).tone, 'good');
    assert.equal(slowVerdict(viewOf(...CREW, ...steps(2, [80, 900, 80]))).tone, 'plain');
    assert.match(slowVerdict(viewOf(CREW[0]!, ...steps(30, [80]))).text, /Nobody to compare with/);
  });

  test('says first who hangs or is gone, and why, until it is back', () => {
    const before = [...CREW, ...steps(30, [300, 80, 80])];

    assert.deepEqual(slowVerdict(viewOf(...before, STALLED)), {
      ...{ tone: 'bad', text: 'Rank 1 on mini: no sign of life' },
    });
    assert.match(
      slowVerdict(viewOf(...before, LOST)).text,
      /^Rank 1 on mini: lost, its connection/,
    );
    const back = viewOf(...before, LOST, joined(1, { host: 'mini' }), ...steps(90, [80, 80, 80]));
    assert.equal(slowVerdict(back).tone, 'good');
  });
});

describe('doingVerdict', () => {
  test('tells of steps that do not come', () => {
    const view = viewOf(...CREW, ...steps(30, [80, 80, 80]));

    assert.equal(doingVerdict(view, view.updatedMs + 1_000).tone, 'good');
    assert.deepEqual(doingVerdict(view, view.steppedMs + 42_000), {
      ...{ tone: 'bad', text: 'No step for 42.0 s, at step 30' },
    });
  });

  test('waits longer where steps take long', () => {
    const view = viewOf(...CREW, ...steps(30, [20_000, 20_000, 20_000]));

    assert.equal(doingVerdict(view, view.steppedMs + 42_000).tone, 'good');
    assert.equal(doingVerdict(view, view.steppedMs + 142_000).tone, 'bad');
  });

  test('tells why a run waits, and how it has ended', () => {
    const waiting = { kind: 'run-waiting', step: 3, reason: 'no worker is left' } as const;

    assert.equal(
      doingVerdict(viewOf(...steps(3, [80]), waiting), 0).text,
      'Waiting at step 3: no worker is left',
    );
    const ended = { kind: 'run-ended', status: 'finished' } as const;
    assert.equal(doingVerdict(viewOf(...steps(3, [80]), ended), 0).text, 'Finished after step 3');
  });
});

describe('learningVerdict', () => {
  test('says whether the loss falls, and not before there is something to compare', () => {
    const flat = steps(60, [80]).map((event) => ({ ...event, lossMean: 2.3 }) as FeedEvent);
    const diverged = { kind: 'diverged', step: 60, lossMean: 40, firstLoss: 2 } as const;

    assert.equal(learningVerdict(viewOf(...steps(60, [80]))).tone, 'good');
    assert.equal(learningVerdict(viewOf(...flat)).tone, 'warn');
    assert.equal(learningVerdict(viewOf(...steps(5, [80]))).tone, 'plain');
    assert.equal(learningVerdict(viewOf(...flat, diverged)).tone, 'bad');
  });
});

describe('remainingMs', () => {
  test('follows from the last steps, and is not known before the first', () => {
    const started: FeedEvent = {
      ...{ kind: 'run-started', runId: 'r', steps: 130, stepsPerEpoch: 10, parameterCount: 9 },
      ...{ microBatch: 8, globalBatch: 96 },
    };

    assert.equal(remainingMs(viewOf(started)), null);
    assert.equal(Math.round(remainingMs(viewOf(started, ...steps(30, [80]))) ?? 0), 10_000);
  });
});
