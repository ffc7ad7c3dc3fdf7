import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import {
  BALANCE_POLICIES,
  type BalancedNode,
  sharesBy,
  stragglersAmong,
} from './balance-policies.ts';

/** Three nodes of the seed system's own example. */
const SEED_NODES: readonly BalancedNode[] = [
  { score: 10, stepTime: 0.1, utilisation: 80, memoryUse: 70 },
  { score: 6, stepTime: 0.15, utilisation: 75, memoryUse: 65 },
  { score: 3, stepTime: 0.25, utilisation: 90, memoryUse: 85 },
];

describe('the rules of the third seed system', () => {
  test("give what that system gives for its own example's nodes", () => {
    assert.deepEqual(sharesBy('proportional', 128, SEED_NODES), [67, 40, 21]);
    assert.deepEqual(sharesBy('dynamic', 128, SEED_NODES), [84, 37, 7]);
    assert.deepEqual(sharesBy('hybrid', 128, SEED_NODES), [85, 36, 7]);
    assert.deepEqual(sharesBy('equal', 128, SEED_NODES), [42, 42, 44]);
  });

  test('call a straggler who takes more than 1.5 times the median', () => {
    assert.deepEqual(stragglersAmong([0.1, 0.15, 0.25]), [2]);
    assert.deepEqual(stragglersAmong([0.1, 0.15, 0.2249]), []);
    assert.deepEqual(stragglersAmong([1, undefined, 2, undefined]), []);
    assert.deepEqual(stragglersAmong([]), []);
  });

  test('share out evenly when no score is known', () => {
    const unknown = SEED_NODES.map((node) => ({ ...node, score: 0 }));

    assert.deepEqual(sharesBy('dynamic', 128, unknown), [42, 42, 44]);
  });

  test('give every sample out, and to everybody one if there are enough', () => {
    const node = fc.record({
      score: fc.double({ min: 0, max: 1e6, noNaN: true }),
      stepTime: fc.option(fc.double({ min: 0, max: 1e6, noNaN: true }), { nil: undefined }),
      utilisation: fc.double({ min: 0, max: 100, noNaN: true }),
      memoryUse: fc.double({ min: 0, max: 100, noNaN: true }),
    });
    const policies = BALANCE_POLICIES.filter((policy) => policy !== 'adaptive');
    fc.assert(
      fc.property(
        fc.constantFrom(...policies),
        fc.nat(300),
        fc.array(node, { minLength: 1, maxLength: 8 }),
        (policy, total, nodes) => {
          const shares = sharesBy(policy, total, nodes);

          assert.equal(
            shares.reduce((a, b) => a + b, 0),
            total,
          );
          assert.ok(
            shares.every((share) => share >= (total >= nodes.length ? 1 : 0)),
            shares.join(),
          );
        },
      ),
    );
  });
});
