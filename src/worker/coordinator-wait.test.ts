import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '../base/clock.ts';
import { CoordinatorWait } from './coordinator-wait.ts';

function createWait() {
  const clock = new ManualClock();
  return { clock, wait: new CoordinatorWait(clock) };
}

describe('CoordinatorWait', () => {
  test('adds up pauses from their beginnings to their ends, and tells each once', () => {
    const { clock, wait } = createWait();
    for (const [idleMs, busyMs] of [
      [30, 5],
      [12, 100],
    ] as const) {
      wait.begin();
      clock.advance(idleMs);
      wait.end();
      clock.advance(busyMs);
    }

    assert.equal(wait.take(), 42);
    assert.equal(wait.take(), 0);
  });

  test('counts from when there was nothing left to do, however often that is said', () => {
    const { clock, wait } = createWait();
    wait.begin();
    clock.advance(20);
    wait.begin();
    clock.advance(20);
    wait.end();

    assert.equal(wait.take(), 40);
  });

  test('tells of a pause when it has ended, and of none that did not begin', () => {
    const { clock, wait } = createWait();
    wait.end();
    clock.advance(10);
    wait.begin();
    clock.advance(10);
    assert.equal(wait.take(), 0);

    wait.end();
    assert.equal(wait.take(), 10);
  });
});
