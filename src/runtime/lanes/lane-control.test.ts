import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Worker as Thread } from 'node:worker_threads';
import { siblingModule } from '../../base/module-url.ts';
import { LaneControl } from './lane-control.ts';

describe('LaneControl', () => {
  test('lets each leased micro-batch be claimed once', () => {
    const control = new LaneControl(2, 10);
    control.lease([3, 1, 7]);

    const claimed = [control.claim(), control.claim(), control.claim(), control.claim()];

    assert.deepEqual(claimed, [1, 3, 7, undefined]);
  });

  test('releases only micro-batches that are not started, from the end', () => {
    const control = new LaneControl(1, 10);
    control.lease([0, 1, 2, 3]);
    control.claim();

    assert.deepEqual(control.release(2), [3, 2]);
    assert.deepEqual(control.release(9), [1]);
    assert.equal(control.hasAvailable(), false);
  });

  test('takes released micro-batches back', () => {
    const control = new LaneControl(1, 4);
    control.lease([0, 1]);
    control.release(2);
    control.lease([1]);

    assert.equal(control.claim(), 1);
    assert.equal(control.claim(), undefined);
  });

  test('shows every thread that has its words the same table', () => {
    const control = new LaneControl(2, 4);
    const other = new LaneControl(2, 4, control.words);
    control.lease([2]);

    assert.equal(other.claim(), 2);
    other.countProgress();

    assert.equal(control.hasAvailable(), false);
    assert.equal(control.progress, 1);
  });

  test('watches what others do until it is done, or what it does is void', () => {
    const control = new LaneControl(1, 1);
    const { era } = control;
    let looks = 0;

    assert.equal(
      control.watch(() => ++looks > 1_000, era),
      true,
    );
    control.clear();
    const isVoid = (): boolean => control.watch(() => false, era);

    assert.equal(isVoid(), false);
    assert.equal(
      control.watch(() => true, era),
      true,
    );
  });

  test('has all lanes find what the first one does', () => {
    const control = new LaneControl(1, 1);

    assert.equal(
      control.decide(0, () => true),
      true,
    );
    assert.equal(
      control.decide(0, () => false),
      false,
    );
  });

  test('does not sleep when it was woken after looking', () => {
    const control = new LaneControl(1, 1);
    const seen = control.wakeCount(0);
    control.wake(0);

    control.sleep(0, seen);

    assert.equal(control.wakeCount(0), seen + 1);
  });

  test('keeps a lane at a barrier that is woken before the others are there', async (t) => {
    const control = new LaneControl(2, 1);
    const atBarrier = `
      const { parentPort, workerData } = require('node:worker_threads');
      void import(workerData.url).then(({ LaneControl }) => {
        new LaneControl(2, 1, workerData.words).barrier();
        parentPort.postMessage('through');
      });`;
    const url = siblingModule(import.meta.url, 'lane-control').href;
    const lane = new Thread(atBarrier, { eval: true, workerData: { url, words: control.words } });
    t.after(async () => lane.terminate());
    let isThrough = false;
    const through = once(lane, 'message').then(() => (isThrough = true));

    // As who was last at the barrier before does, when it is slow to do so. It sleeps again: twice.
    await callOneSleeper(control);
    await callOneSleeper(control);
    assert.equal(isThrough, false);
    control.barrier();

    assert.equal(await through, true);
    await once(lane, 'exit');

    async function callOneSleeper({ words }: LaneControl): Promise<void> {
      for (let tries = 0; tries < 2_000; tries++) {
        for (let word = 0; word < words.length; word++) if (Atomics.notify(words, word) > 0) return;
        await delay(5);
      }
      assert.fail('nobody sleeps at the barrier');
    }
  });
});
