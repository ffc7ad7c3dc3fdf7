import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type ExchangeCost, ExchangeWatch, type StepTime } from './exchange-cost.ts';

type Times = readonly [computeMs: number, communicateMs: number];

/** A step of workers with these times; each waits until the slowest is done. */
function stepOf(...times: readonly Times[]): StepTime {
  const stepMs = Math.max(...times.map(([compute, communicate]) => compute + communicate));
  const mean = (of: (time: Times) => number): number =>
    times.reduce((sum, time) => sum + of(time), 0) / times.length;
  return {
    computeMs: mean(([compute]) => compute),
    communicateMs: mean(([, communicate]) => communicate),
    waitMs: mean(([compute, communicate]) => stepMs - compute - communicate),
    ranks: times.map(([computeMs, communicateMs], rank) => ({ rank, computeMs, communicateMs })),
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
      { steps: 20, computeMs: 11, communicateMs: 30, waitMs: 1, limit: 'exchange' },
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
});
