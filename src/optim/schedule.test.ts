import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { learningRateAt, type ScheduleSpec } from './schedule.ts';

// Recorded by scripts/record-pytorch-optimizers.py.
const { schedules } = JSON.parse(
  readFileSync(new URL('../../test/fixtures/pytorch-optimizers.json', import.meta.url), 'utf8'),
) as { schedules: { spec: ScheduleSpec; values: number[] }[] };

function rates(schedule: ScheduleSpec, totalSteps: number): number[] {
  return Array.from({ length: totalSteps }, (_, i) => learningRateAt(schedule, i + 1, totalSteps));
}

describe('learningRateAt', () => {
  for (const { spec, values } of schedules) {
    test(`moves as PyTorch's schedulers do: ${JSON.stringify(spec)}`, () => {
      rates(spec, values.length).forEach((rate, i) => {
        assert.ok(
          Math.abs(rate - values[i]!) <= 1e-12,
          `step ${i + 1}: ${rate} is not ${values[i]}`,
        );
      });
    });
  }

  test('rises in equal parts during the warm-up', () => {
    const schedule: ScheduleSpec = { kind: 'constant', learningRate: 1, warmupSteps: 4 };

    assert.deepEqual(rates(schedule, 6), [0.25, 0.5, 0.75, 1, 1, 1]);
  });

  test('counts the falls of a step schedule from the start of training', () => {
    const schedule: ScheduleSpec = {
      kind: 'step',
      learningRate: 1,
      warmupSteps: 2,
      gamma: 0.5,
      everySteps: 2,
    };

    assert.deepEqual(rates(schedule, 6), [0.5, 1, 0.5, 0.5, 0.25, 0.25]);
  });

  test('ends a cosine at its minimum, also past its end or when shorter than the warm-up', () => {
    const schedule: ScheduleSpec = {
      kind: 'cosine',
      learningRate: 1,
      minimum: 0.1,
      warmupSteps: 5,
    };

    assert.equal(learningRateAt(schedule, 11, 10), 0.1);
    assert.equal(learningRateAt(schedule, 99, 10), 0.1);
    assert.deepEqual(rates(schedule, 3), [0.2, 0.4, 0.6]);
  });
});
