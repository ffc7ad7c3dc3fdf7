import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type ExchangeCost, ExchangeWatch, type StepTime } from './exchange-cost.ts';

type Times = readonly [computeMs: number, communicateMs: number, microBatches?: number];

/** A step of workers with these times; each waits until the slowest is done. */
function stepOf(...times: readonly Times[]): StepTime {
  const stepMs = Math.max(...times.map(([compute, communicate]) => compute + communicate));
  const mean = (of: (time: Times) => number): number =>
    times.reduce((sum, time) => sum + of(time), 0) / times.length;
  return {
    computeMs: mean(([compute]) => compute),
    communicateMs: mean(([, communicate]) => communicate),
    waitMs: mean(([compute, communicate]) => stepMs - compute - communicate),
    ranks: times.map(([computeMs, communicateMs, microBatches = 1], rank) => ({
      ...{ rank, computeMs, communicateMs, microBatches },
    })),
  };
}

function saidOf(...steps: readonly StepTime[]): (ExchangeCost | undefined)[] {
  const watch = new ExchangeWatch();
  return steps.map((step) => watch.add(step)).filter((cost) => cost !== undefined);
}

const many = (count: number, step: StepTime): StepTime[] => Array<StepTime>(count).fill(step);

describe('ExchangeWatch', () => {
  test('speaks once, after twenty steps that were spent on the exchange', () => {
    const slow = stepOf([10, 30], [12, 30]);

    assert.deepEqual(saidOf(...many(19, slow)), []);
    assert.deepEqual(saidOf(...many(60, slow)), [
      {
        ...{ steps: 20, computeMs: 11, communicateMs: 30, waitMs: 1, limit: 'exchange' },
        fewer: { ranks: [0], stepMs: 20 },
      },
    ]);
    assert.deepEqual(saidOf(...many(19, slow), stepOf([40, 5], [40, 5]), ...many(19, slow)), []);
  });

  test('names the rank whose link it is, or whom the others wait for', () => {
    const [byLink] = saidOf(...many(20, stepOf([10, 2], [10, 90], [10, 3])));
    const [byWorker] = saidOf(...many(20, stepOf([1, 1], [1, 1], [40, 1])));

    assert.deepEqual([byLink?.limit, byLink?.rank], ['link', 1]);
    assert.deepEqual([byWorker?.limit, byWorker?.rank], ['worker', 2]);
  });

  test('says nothing of a worker alone, nor of steps that compute for longer', () => {
    assert.deepEqual(saidOf(...many(40, stepOf([1, 30]))), []);
    assert.deepEqual(saidOf(...many(40, stepOf([30, 10], [35, 20]))), []);
  });

  test('names those who would be faster by themselves', () => {
    // Two micro-batches in 10 ms; alone all six in 30 ms, where the three take 100 ms.
    const [alone] = saidOf(...many(20, stepOf([10, 90, 2], [11, 90, 2], [12, 90, 2])));
    assert.deepEqual(alone?.fewer, { ranks: [0], stepMs: 30 });

    // Without rank 0, three micro-batches each in 15 ms, and 2 ms for the sums.
    const [two] = saidOf(...many(20, stepOf([10, 90, 2], [10, 2, 2], [10, 2, 2])));
    assert.deepEqual(two?.fewer, { ranks: [1, 2], stepMs: 17 });
  });

  test('names nobody where all are about as fast as fewer, or one has nothing to do', () => {
    const [even] = saidOf(...many(20, stepOf([10, 10, 1], [10, 11, 1])));
    assert.deepEqual([even?.limit, even?.fewer], ['exchange', undefined]);

    const [idle] = saidOf(...many(20, stepOf([10, 30, 2], [1, 60, 0])));
    assert.deepEqual(idle?.fewer, { ranks: [0], stepMs: 10 });
  });
});
