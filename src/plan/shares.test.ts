import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { type Capacity, divideInOrder, planLeases, slowestPartMs, withTrial } from './shares.ts';

function sumOf(counts: readonly number[]): number {
  return counts.reduce((a, b) => a + b, 0);
}

describe('planLeases', () => {
  const someCapacity: fc.Arbitrary<Capacity> = fc.record({
    lanes: fc.integer({ min: 1, max: 3 }),
    microBatchMs: fc.double({ min: 0.1, max: 100, noNaN: true }),
  });

  /** When the last party is done. */
  function finishMs(counts: readonly number[], capacities: readonly Capacity[]): number {
    return Math.max(
      ...capacities.map(
        ({ lanes, microBatchMs }, i) => Math.ceil(counts[i]! / lanes) * microBatchMs!,
      ),
    );
  }

  function* divisions(total: number, parties: number): Generator<number[]> {
    if (parties === 0 && total === 0) yield [];
    for (let first = 0; first <= (parties === 0 ? -1 : total); first++) {
      for (const rest of divisions(total - first, parties - 1)) yield [first, ...rest];
    }
  }

  test('finishes as early as the best of all divisions', () => {
    fc.assert(
      fc.property(
        fc.nat(9),
        fc.array(someCapacity, { minLength: 1, maxLength: 3 }),
        (total, capacities) => {
          const counts = planLeases(total, capacities);

          const best = Math.min(
            ...[...divisions(total, capacities.length)].map((division) =>
              finishMs(division, capacities),
            ),
          );
          assert.equal(sumOf(counts), total);
          assert.equal(finishMs(counts, capacities), best);
        },
      ),
    );
  });

  test('gives out every micro-batch whatever speeds are claimed', () => {
    const anyCapacity = fc.record({
      lanes: fc.nat(8),
      microBatchMs: fc.option(
        fc.oneof(
          fc.double({ min: 0, noNaN: true }),
          fc.constantFrom(0, Infinity, Number.MAX_VALUE),
        ),
        { nil: undefined },
      ),
    });
    fc.assert(
      fc.property(
        fc.nat(100),
        fc.array(anyCapacity, { minLength: 1, maxLength: 6 }),
        (total, capacities) => {
          const counts = planLeases(total, capacities);

          assert.equal(counts.length, capacities.length);
          assert.equal(sumOf(counts), total);
        },
      ),
    );
  });

  test('shares by lanes before any speed is known', () => {
    const counts = planLeases(12, [
      { lanes: 1, microBatchMs: undefined },
      { lanes: 3, microBatchMs: undefined },
    ]);

    assert.deepEqual(counts, [3, 9]);
  });

  test('takes a newcomer for as fast as the others are on average', () => {
    const counts = planLeases(9, [
      { lanes: 1, microBatchMs: 10 },
      { lanes: 1, microBatchMs: undefined },
      { lanes: 1, microBatchMs: 10 },
    ]);

    assert.deepEqual(counts, [3, 3, 3]);
  });

  test('gives a worker of half the speed half as much', () => {
    const counts = planLeases(9, [
      { lanes: 1, microBatchMs: 10 },
      { lanes: 1, microBatchMs: 20 },
    ]);

    assert.deepEqual(counts, [6, 3]);
  });

  test('gives nobody anything when nobody is there', () => {
    assert.deepEqual(planLeases(3, []), []);
  });
});

describe('withTrial', () => {
  test('takes the unit from the largest share', () => {
    assert.deepEqual(withTrial([3, 5, 0, 0], 3), [3, 4, 0, 1]);
  });

  test('leaves somebody without when there is only one unit', () => {
    assert.deepEqual(withTrial([1, 0], 1), [0, 1]);
  });
});

describe('divideInOrder', () => {
  const someShares = fc.array(fc.integer({ min: 1, max: 1_000 }), { minLength: 1, maxLength: 9 });

  test('gives every micro-batch once, in order, for any shares and totals', () => {
    fc.assert(
      fc.property(someShares, fc.nat(3_000), (shares, total) => {
        const parts = divideInOrder(shares, total);

        assert.equal(parts.length, shares.length);
        assert.deepEqual(
          parts.flat(),
          Array.from({ length: total }, (_, microBatch) => microBatch),
        );
      }),
    );
  });

  test('gives as many as the shares say of a whole step, and in proportion of another', () => {
    fc.assert(
      fc.property(someShares, fc.nat(3_000), (shares, total) => {
        const lengths = (count: number): number[] =>
          divideInOrder(shares, count).map((part) => part.length);
        const whole = sumOf(shares);

        assert.deepEqual(lengths(whole), shares);
        for (const [i, length] of lengths(total).entries())
          assert.ok(Math.abs(length - (shares[i]! * total) / whole) < 1);
      }),
    );
  });

  test('leaves some without a part of a short step', () => {
    assert.deepEqual(divideInOrder([3, 3, 2], 2), [[], [0], [1]]);
  });
});

describe('slowestPartMs', () => {
  test('is what the slowest computes of its share, and what a step costs it besides', () => {
    const party = (microBatchMs: number, lanes = 1) => ({ lanes, microBatchMs, stepFixedMs: 0.5 });

    // 4 and 2 micro-batches: 4 x 1 ms and 2 x 2 ms.
    assert.equal(slowestPartMs(6, [party(1), party(2)]), 4.5);
    // 6 on two lanes: three times 2 ms.
    assert.equal(slowestPartMs(6, [party(2, 2)]), 6.5);
  });
});
