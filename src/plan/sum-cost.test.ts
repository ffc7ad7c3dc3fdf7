import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type LinkSpeed, predictRingMs, predictSharedMs, predictStarMs } from './sum-cost.ts';

/** 125 MB a second, 0.2 ms there and back. */
const GIGABIT: LinkSpeed = { roundTripMs: 0.2, bytesPerSecond: 125e6 };
const SLOW: LinkSpeed = { roundTripMs: 10, bytesPerSecond: 1.25e6 };

function assertNear(actual: number, expected: number): void {
  assert.ok(Math.abs(actual - expected) < 1e-9 * expected, `${actual}, expected ${expected}`);
}

describe('predictRingMs', () => {
  test('sends twice all but one part of the bytes, and waits for as many connections', () => {
    // 4/3 of 1 ms, and four rounds of 0.1 ms.
    assertNear(predictRingMs(125_000, [GIGABIT, GIGABIT, GIGABIT]), 4 / 3 + 0.4);
    // Once the bytes, and two rounds.
    assertNear(predictRingMs(125_000, [GIGABIT, GIGABIT]), 1 + 0.2);
  });

  test('is as slow as its slowest connection', () => {
    // 4/3 of 100 ms; 0.1, 0.1 and 5 ms late, 4/3 times each.
    assertNear(predictRingMs(125_000, [GIGABIT, SLOW, GIGABIT]), (4 / 3) * (100 + 5.2));
  });
});

describe('predictSharedMs', () => {
  test('takes 20 ms for 100 MiB of two ranks, and longer for more ranks', () => {
    const two = predictSharedMs(100 * 2 ** 20, 2);
    assert.ok(two > 20 && two < 21, `${two} ms`);
    assertNear(predictSharedMs(5.2e6, 4), 0.03 + 2);
  });
});

describe('predictStarMs', () => {
  test('has all sums come to the coordinator, and all totals go from it', () => {
    // Three times 1 ms in, as much out, and once there and back.
    assertNear(predictStarMs(125_000, [GIGABIT, GIGABIT, GIGABIT], 125e6), 6 + 0.2);
  });

  test('waits for the slowest worker when that is slower than all together', () => {
    assertNear(predictStarMs(125_000, [GIGABIT, SLOW], 125e6), 200 + 10);
    assertNear(predictStarMs(125_000, [GIGABIT, SLOW], 0.625e6), 800 + 10);
  });
});
