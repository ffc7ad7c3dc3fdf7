import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  begunOf,
  committedOf,
  countedOf,
  joinMember,
  makePass,
  recordOf,
  redoneOf,
} from '../../../test/pass-facts.ts';
import { ManualClock } from '../../base/clock.ts';
import { StepTimes, type StepTiming } from './step-times.ts';

/** Nothing was added up with others, and nobody waited for. */
const ALONE = { addMs: 0, waitPeersMs: 0, waitCoordinatorMs: 0 };

/** The times of a run that begins at `startMs`, told in few words. */
function createWorld(startMs: number) {
  const times = new StepTimes();
  const clock = new ManualClock();
  const members = ['worker 0', 'worker 1'].map((name) => joinMember(clock, name).member);
  const pass = makePass();
  times.start(startMs);
  return {
    times,
    begin: (nowMs: number): void => times.begun(begunOf(pass, nowMs)),
    /** A contribution of `rank` with one micro-batch of ten samples. */
    count: (nowMs: number, rank: number, turnaroundMs: number, busyMs: number): void => {
      const records = [recordOf(0, { sampleCount: 10 })];
      times.counted(countedOf(members[rank]!, pass, records, { nowMs, turnaroundMs, busyMs }));
    },
    redo: (nowMs: number): void => times.completed(redoneOf(pass, nowMs)),
    commit: (nowMs: number): StepTiming => {
      times.completed(committedOf(pass, nowMs));
      return times.lastStep;
    },
  };
}

describe('StepTimes', () => {
  test('splits a step into computing, communicating, waiting and the rest, which add up', () => {
    const { begin, count, commit } = createWorld(1000);
    begin(1002);
    count(1012, 0, 10, 8);
    count(1022, 1, 20, 14);
    const step = commit(1025);

    assert.deepEqual(step.ranks, [
      {
        rank: 0,
        computeMs: 8,
        samples: 10,
        microBatches: 1,
        communicateMs: 2,
        waitMs: 10,
        ...ALONE,
      },
      {
        rank: 1,
        computeMs: 14,
        samples: 10,
        microBatches: 1,
        communicateMs: 6,
        waitMs: 0,
        ...ALONE,
      },
    ]);
    assert.deepEqual(
      [step.stepMs, step.computeMs, step.communicateMs, step.waitMs, step.otherMs],
      [25, 11, 4, 5, 5],
    );
  });

  test('counts the time of a pass that is computed again, and its samples once', () => {
    const { begin, count, redo, commit } = createWorld(0);
    begin(0);
    count(10, 0, 10, 9);
    redo(10);
    begin(11);
    count(20, 0, 9, 9);
    const step = commit(20);

    assert.deepEqual(step.ranks, [
      {
        rank: 0,
        computeMs: 18,
        samples: 10,
        microBatches: 1,
        communicateMs: 1,
        waitMs: 0,
        ...ALONE,
      },
    ]);
    assert.equal(step.stepMs, 20);
    assert.equal(step.otherMs, 1);
  });

  test('leaves the samples of a pass that was abandoned out of the next', () => {
    const { begin, count, commit } = createWorld(0);
    begin(0);
    count(10, 0, 10, 10);
    begin(50);
    count(60, 1, 10, 10);
    const step = commit(60);

    assert.deepEqual(
      step.ranks.map(({ rank, samples }) => [rank, samples]),
      [
        [0, 0],
        [1, 10],
      ],
    );
  });

  test(
    'takes a worker that says it was busy for longer than its turnaround as busy all ' +
      'that time',
    () => {
      const { begin, count, commit } = createWorld(0);
      begin(0);
      count(10, 0, 10, 12);

      assert.equal(commit(10).computeMs, 10);
    },
  );

  test('hears nothing of evaluations but the time that they take', () => {
    const { times, begin, count, commit } = createWorld(0);
    const pass = makePass({ work: 'evaluate' });
    const { member } = joinMember(new ManualClock(), 'worker 0');
    times.begun(begunOf(pass, 0));
    const spent = { nowMs: 900, turnaroundMs: 900, busyMs: 900 };
    times.counted(countedOf(member, pass, [recordOf(0)], spent));
    times.completed({ spec: pass.spec, outcome: { kind: 'evaluated', records: [] }, nowMs: 1000 });
    begin(1000);
    count(1010, 0, 10, 10);

    assert.equal(commit(1010).stepMs, 10);
    assert.deepEqual(times.split(), { compute: 0.01, communicate: 0, wait: 0, other: 1 });
  });

  test('sums up a run in seconds, time between steps as other', () => {
    const { times, begin, count, commit } = createWorld(0);
    begin(0);
    count(2000, 0, 2000, 1500);
    commit(2000);
    times.undone({ nowMs: 3000 });

    assert.deepEqual(times.split(), { compute: 1.5, communicate: 0.5, wait: 0, other: 1 });
  });

  test('tells what each worker of a group adds up, and how long it waits for whom', () => {
    const { times, count, commit } = createWorld(0);
    times.begun({ ...begunOf(makePass(), 0), isGranted: true, shares: [1, 1] });
    count(10, 0, 10, 8);
    count(10, 1, 10, 5);
    times.noteAdded(0, 1, { addingMs: 2, waitPeersMs: 0.5 });
    times.noteAdded(1, 1, { addingMs: 5, waitPeersMs: 3.5, waitCoordinatorMs: 1 });
    const step = commit(12);

    assert.deepEqual(
      step.ranks.map(({ addMs, waitPeersMs, waitCoordinatorMs, communicateMs, waitMs }) => [
        ...[addMs, waitPeersMs, waitCoordinatorMs],
        ...[communicateMs, waitMs],
      ]),
      [
        [1.5, 0.5, 0, 2, 0],
        [1.5, 3.5, 1, 2, 3],
      ],
    );
    assert.equal(step.stepMs, 10);
  });
});
