import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RandomWords } from '../../base/random.ts';
import { differenceInterval, sampleOf, tQuantile } from './statistics.ts';

function assertNear(got: number, wanted: number, tolerance: number): void {
  assert.ok(Math.abs(got - wanted) <= tolerance, `${got} is not ${wanted}`);
}

describe('tQuantile', () => {
  test('has the values of printed tables, for few degrees and many', () => {
    const printed = { 1: 12.7062, 2: 4.3027, 5: 2.5706, 10: 2.2281, 29: 2.0452, 30: 2.0423 };
    const beyond = { 31: 2.0395, 40: 2.0211, 60: 2.0003, 120: 1.9799, 1000: 1.9623 };
    for (const [degrees, value] of Object.entries({ ...printed, ...beyond }))
      assertNear(tQuantile(Number(degrees)), value, 6e-5);
  });

  test('has them for other chances', () => {
    const printed = [
      [4, 0.001, 8.6103],
      [5, 0.01, 4.0321],
      [10, 0.002, 4.1437],
    ] as const;
    for (const [degrees, chance, value] of printed)
      assertNear(tQuantile(degrees, chance), value, 6e-5);
  });

  test('takes the next lower number of degrees for a fraction', () => {
    assert.equal(tQuantile(5.9), tQuantile(5));
    assert.equal(tQuantile(0.3), tQuantile(1));
  });
});

describe('differenceInterval', () => {
  test("is Welch's interval for several runs on both sides", () => {
    // Variances 2.5 and 10 of five each: error 1.5811, 5.88 degrees, counted as 5.
    const interval = differenceInterval(sampleOf([1, 2, 3, 4, 5]), sampleOf([6, 8, 10, 12, 14]));

    assertNear(interval![0], 7 - 2.570582 * 1.5811388, 1e-5);
    assertNear(interval![1], 7 + 2.570582 * 1.5811388, 1e-5);
  });

  test('takes the noise of one side for a single run on the other', () => {
    const interval = differenceInterval(sampleOf([1, 2, 3]), sampleOf([10]));

    const half = 4.302653 * Math.sqrt(4 / 3);
    assertNear(interval![0], 8 - half, 1e-5);
    assertNear(interval![1], 8 + half, 1e-5);
  });

  test('is a point when nothing varies, and unknown for single runs', () => {
    assert.deepEqual(differenceInterval(sampleOf([2, 2]), sampleOf([3, 3, 3])), [1, 1]);
    assert.equal(differenceInterval(sampleOf([2]), sampleOf([3])), undefined);
  });

  test('leaves out a true difference of 0 in about 5 of 100 cases of normal noise', () => {
    const words = new RandomWords(7, 'synthetic');
    let next = 0;
    const normal = (): number =>
      Math.sqrt(-2 * Math.log(1 - words.uniform(next++))) *
      Math.cos(2 * Math.PI * words.uniform(next++));
    let misses = 0;
    const trials = 4000;
    for (let trial = 0; trial < trials; trial++) {
      const [low, high] = differenceInterval(
        sampleOf([normal(), normal(), normal(), normal()]),
        sampleOf([normal(), normal(), normal(), normal(), normal()].map((value) => 2 * value)),
      )!;
      if (low > 0 || high < 0) misses++;
    }
    assert.ok(misses / trials > 0.03 && misses / trials < 0.06, `${misses} of ${trials}`);
  });
});
