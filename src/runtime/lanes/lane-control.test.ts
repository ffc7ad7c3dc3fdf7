import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
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

  test('does not sleep when it was woken after looking', () => {
    const control = new LaneControl(1, 1);
    const seen = control.wakeCount(0);
    control.wake(0);

    control.sleep(0, seen);

    assert.equal(control.wakeCount(0), seen + 1);
  });
});
