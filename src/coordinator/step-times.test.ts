import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { StepTimes } from './step-times.ts';

/** A contribution of `rank` with one micro-batch of ten samples. */
const of = (
  rank: number,
  turnaroundMs: number,
  busyMs: number,
): Parameters<StepTimes['contribution']>[1] => ({
  rank,
  samples: 10,
  microBatches: 1,
  turnaroundMs,
  busyMs,
});

describe('StepTimes', () => {
  test('splits a step into computing, communicating, waiting and the rest, which add up', () => {
    const times = new StepTimes();
    times.start(1000);
    times.beginPass(1002);
    times.contribution(1012, of(0, 10, 8));
    times.contribution(1022, of(1, 20, 14));
    const step = times.commit(1025);

    assert.deepEqual(step.ranks, [
      { rank: 0, computeMs: 8, samples: 10, microBatches: 1, communicateMs: 2, waitMs: 10 },
      { rank: 1, computeMs: 14, samples: 10, microBatches: 1, communicateMs: 6, waitMs: 0 },
    ]);
    assert.deepEqual(
      [step.stepMs, step.computeMs, step.communicateMs, step.waitMs, step.otherMs],
      [25, 11, 4, 5, 5],
    );
  });

  test('counts the time of a pass that is computed again, and its samples once', () => {
    const times = new StepTimes();
    times.start(0);
    times.beginPass(0);
    times.contribution(10, of(0, 10, 9));
    times.redo();
    times.beginPass(11);
    times.contribution(20, of(0, 9, 9));
    const step = times.commit(20);

    assert.deepEqual(step.ranks, [
      { rank: 0, computeMs: 18, samples: 10, microBatches: 1, communicateMs: 1, waitMs: 0 },
    ]);
    assert.equal(step.stepMs, 20);
    assert.equal(step.otherMs, 1);
  });

  test('leaves the samples of a pass that was abandoned out of the next', () => {
    const times = new StepTimes();
    times.start(0);
    times.beginPass(0);
    times.contribution(10, of(0, 10, 10));
    times.beginPass(50);
    times.contribution(60, of(1, 10, 10));
    const step = times.commit(60);

    assert.deepEqual(
      step.ranks.map(({ rank, samples }) => [rank, samples]),
      [
        [0, 0],
        [1, 10],
      ],
    );
  });

  test('takes a worker that says it was busy for longer than its turnaround as busy all that time', () => {
    const times = new StepTimes();
    times.start(0);
    times.beginPass(0);
    times.contribution(10, of(0, 10, 12));

    assert.equal(times.commit(10).computeMs, 10);
  });

  test('sums up a run in seconds, time between steps as other', () => {
    const times = new StepTimes();
    times.start(0);
    times.beginPass(0);
    times.contribution(2000, of(0, 2000, 1500));
    times.commit(2000);
    times.skip(3000);

    assert.deepEqual(times.split(), { compute: 1.5, communicate: 0.5, wait: 0, other: 1 });
  });
});
