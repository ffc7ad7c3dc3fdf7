import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '../base/clock.ts';
import { DoorGuard } from './door-guard.ts';

/** So many come one after the other and fail; how many were looked at. */
function failuresOf(guard: DoorGuard, host: string, count: number): number {
  let seen = 0;
  for (let attempt = 0; attempt < count; attempt++) {
    if (!guard.admit(host)) continue;
    seen++;
    guard.settle(host, false);
  }
  return seen;
}

describe('DoorGuard', () => {
  test('has 16 handshakes of a machine under way, and 64 of all', () => {
    const guard = new DoorGuard(new ManualClock());
    const admitted = (host: string): number =>
      Array.from({ length: 20 }, () => guard.admit(host)).filter(Boolean).length;

    assert.deepEqual(['a', 'b', 'c', 'd', 'e'].map(admitted), [16, 16, 16, 16, 0]);
    guard.settle('a', true);
    assert.equal(admitted('e'), 1);
  });

  test('lets who failed five times within a minute wait, twice as long each time', () => {
    const clock = new ManualClock();
    const guard = new DoorGuard(clock);

    assert.equal(failuresOf(guard, 'a', 100), 6);
    clock.advance(999);
    assert.equal(failuresOf(guard, 'a', 100), 0);
    clock.advance(1);
    assert.equal(failuresOf(guard, 'a', 100), 1);
    clock.advance(1_999);
    assert.equal(failuresOf(guard, 'a', 100), 0);
    assert.equal(failuresOf(guard, 'b', 1), 1, 'others do not wait with it');
  });

  test('forgets failures after a quiet minute, and once somebody is let in', () => {
    const clock = new ManualClock();
    const guard = new DoorGuard(clock);
    failuresOf(guard, 'a', 6);
    clock.advance(60_000);
    assert.equal(failuresOf(guard, 'a', 5), 5);

    assert.ok(guard.admit('a'));
    guard.settle('a', true);

    assert.equal(failuresOf(guard, 'a', 100), 6);
  });
});
