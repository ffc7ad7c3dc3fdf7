import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '../base/clock.ts';
import { StartQueue } from './start-queue.ts';

/** A queue to which `count` were added at once, and who of them has been started. */
function queueOf(count: number, atOnce: number) {
  const clock = new ManualClock();
  const queue = new StartQueue<number>(atOnce, clock);
  const started: number[] = [];
  for (let i = 0; i < count; i++)
    queue.add(() => {
      started.push(i);
      return i;
    });
  return { clock, queue, started };
}

describe('StartQueue', () => {
  test('starts all at once when there is room for all', () => {
    const { queue, started } = queueOf(4, 4);

    assert.deepEqual(started, [0, 1, 2, 3]);
    assert.equal(queue.waitingCount, 0);
  });

  test('starts the next, in order, when one is up, and only one', () => {
    const { queue, started } = queueOf(6, 2);
    assert.deepEqual(started, [0, 1]);

    queue.settle(1);
    queue.settle(1);

    assert.deepEqual(started, [0, 1, 2]);
    assert.equal(queue.waitingCount, 3);
    queue.settle(0);
    queue.settle(2);
    assert.deepEqual(started, [0, 1, 2, 3, 4]);
  });

  test('waits half a minute for one that is not up, and no longer', () => {
    const { clock, queue, started } = queueOf(3, 1);

    clock.advance(29_999);
    assert.deepEqual(started, [0]);
    clock.advance(1);
    assert.deepEqual(started, [0, 1]);

    queue.settle(1);
    queue.settle(2);
    assert.equal(clock.pendingCount(), 0);
  });

  test('starts nobody once it is closed, gives those underway, and leaves no timer', () => {
    const { clock, queue, started } = queueOf(5, 3);
    queue.settle(1);

    assert.deepEqual(queue.close(), [0, 2, 3]);

    queue.settle(0);
    clock.advance(3_600_000);
    assert.deepEqual(started, [0, 1, 2, 3]);
    assert.deepEqual([queue.waitingCount, clock.pendingCount()], [0, 0]);
  });
});
