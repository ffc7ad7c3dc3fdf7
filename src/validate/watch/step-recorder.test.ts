import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { StepCommitted } from '../../metrics/events.ts';
import { bitsOf, perSecond, StepRecorder } from './step-recorder.ts';

const WALL_MS = Date.UTC(2026, 0, 2);

function stepEvent(step: number, changes: Partial<StepCommitted> = {}): StepCommitted {
  const ranks = [
    { rank: 0, samples: 20, microBatches: 5, computeMs: 6, communicateMs: 1, waitMs: 1 },
    { rank: 1, samples: 12, microBatches: 3, computeMs: 4, communicateMs: 3, waitMs: 1 },
  ];
  const times = { stepMs: 10, computeMs: 5, communicateMs: 2, waitMs: 1, otherMs: 2 };
  const sizes = { epoch: 0, sampleCount: 32, lossMean: 1 / step, learningRate: 0.01 };
  return { kind: 'step', step, ...sizes, ...times, ranks, ...changes };
}

describe('StepRecorder', () => {
  test('gives every step in the words of the result file, counted from 0', () => {
    const recorder = new StepRecorder();
    recorder.add(stepEvent(1), { ms: 110, wallMs: WALL_MS });

    assert.deepEqual(recorder.steps(), [
      {
        step: 0,
        loss: 1,
        throughput_samples_per_sec: 3200,
        allreduce_time_ms: 2,
        compute_time_ms: 5,
        wait_time_ms: 1,
        other_time_ms: 2,
        step_time_ms: 10,
        loss_bits: '3ff0000000000000',
        workers: [
          {
            worker_id: 0,
            samples: 20,
            micro_batches: 5,
            compute_time_ms: 6,
            allreduce_time_ms: 1,
            wait_time_ms: 1,
          },
          {
            worker_id: 1,
            samples: 12,
            micro_batches: 3,
            compute_time_ms: 4,
            allreduce_time_ms: 3,
            wait_time_ms: 1,
          },
        ],
      },
    ]);
  });

  test('counts time from the beginning of the first step to the commit of the last', () => {
    const recorder = new StepRecorder();
    recorder.add(stepEvent(1), { ms: 110, wallMs: WALL_MS + 110 });
    recorder.add(stepEvent(2), { ms: 125, wallMs: WALL_MS + 125 });

    assert.deepEqual(recorder.began, { ms: 100, wallMs: WALL_MS + 100 });
    assert.deepEqual(recorder.ended, { ms: 125, wallMs: WALL_MS + 125 });
    assert.equal(recorder.sampleCount, 64);
  });

  test('takes the later report of steps that are computed again without a worker that lied', () => {
    const recorder = new StepRecorder();
    const now = { ms: 0, wallMs: WALL_MS };
    for (const step of [1, 2, 3]) recorder.add(stepEvent(step, { lossMean: 9 }), now);
    recorder.add({ kind: 'rolled-back', fromStep: 3, toStep: 1, reason: 'distrusted' }, now);
    assert.equal(recorder.count, 1);
    for (const step of [2, 3, 4]) recorder.add(stepEvent(step), now);

    assert.deepEqual(
      recorder.steps().map(({ step, loss }) => [step, loss]),
      [
        [0, 9],
        [1, 1 / 2],
        [2, 1 / 3],
        [3, 1 / 4],
      ],
    );
  });

  test(
    'keeps steps that are computed again because nobody held them: they have the same results ' +
      'and are not told twice',
    () => {
      const recorder = new StepRecorder();
      const now = { ms: 0, wallMs: WALL_MS };
      for (const step of [1, 2]) recorder.add(stepEvent(step), now);
      recorder.add({ kind: 'rolled-back', fromStep: 2, toStep: 0, reason: 'lost' }, now);
      recorder.add(stepEvent(3), now);

      assert.equal(recorder.steps().length, 3);
    },
  );
});

describe('bitsOf', () => {
  test('tells numbers apart that look alike', () => {
    assert.equal(bitsOf(-2), 'c000000000000000');
    assert.notEqual(bitsOf(0.1 + 0.2), bitsOf(0.3));
    assert.notEqual(bitsOf(0), bitsOf(-0));
  });
});

describe('perSecond', () => {
  test('is 0 where there was no time to measure', () => {
    assert.deepEqual([perSecond(32, 16), perSecond(32, 0)], [2000, 0]);
  });
});
