import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Throttle, UNHINDERED } from './throttle.ts';

/** A throttle on a clock of its own, and pieces of work that pass through it. */
function throttled(factor: number, oversleptMs = 0) {
  const slept: number[] = [];
  let nowMs = 0;
  const throttle = new Throttle(factor, {
    now: () => nowMs,
    sleep: (ms) => {
      slept.push(ms);
      nowMs += ms + oversleptMs;
    },
  });
  const work = (ms: number) => {
    const startedMs = nowMs;
    nowMs += ms;
    throttle.rest(startedMs);
    return nowMs - startedMs;
  };
  for (let piece = 0; piece < UNHINDERED; piece++) assert.equal(work(10), 10);
  return { work, slept };
}

describe('Throttle', () => {
  test('makes work take so many times as long as the first of it', () => {
    const { work } = throttled(4);

    assert.deepEqual([10, 10, 25].map(work), [40, 40, 40]);
  });

  test('keeps the mean when sleeps end late', () => {
    const { work } = throttled(4, 3);

    assert.deepEqual([10, 10, 10].map(work), [43, 40, 40]);
  });

  test('makes up for work that took longer than it may, by no more than one piece', () => {
    const { work } = throttled(2);

    assert.deepEqual([25, 10, 500, 10, 10].map(work), [25, 15, 500, 10, 10]);
  });

  test('never sleeps with a factor of 1', () => {
    const { work, slept } = throttled(1);

    work(1000);
    assert.deepEqual(slept, []);
  });
});
