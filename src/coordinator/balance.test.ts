import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Rebalanced } from '../metrics/events.ts';
import type { BalancePlan } from '../plan/balance-policies.ts';
import { Balance, type Party } from './balance.ts';

/** Workers with these times per micro-batch and step, and scores. */
function parties(...facts: readonly { ms?: number; score?: number }[]): Party[] {
  return facts.map(({ ms, score }, rank) => ({
    rank,
    capacity: { lanes: 1, microBatchMs: ms },
    node: { score, stepTime: ms, utilisation: 0, memoryUse: 0 },
  }));
}

/** Of steps of so many micro-batches. */
function balanceOf(plan: BalancePlan, count: number): { balance: Balance; told: Rebalanced[] } {
  const told: Rebalanced[] = [];
  return { balance: new Balance(plan, count, (event) => told.push(event)), told };
}

describe('Balance', () => {
  test('shares out by measured speed, and tells when shares move by more than one', () => {
    const { balance, told } = balanceOf({ policy: 'adaptive' }, 12);

    assert.deepEqual(balance.share(0, 12, parties({}, {}, {})), [4, 4, 4]);
    assert.deepEqual(balance.share(1, 12, parties({ ms: 10 }, { ms: 11 }, { ms: 10 })), [4, 4, 4]);
    assert.deepEqual(balance.share(2, 12, parties({ ms: 10 }, { ms: 40 }, { ms: 40 })), [8, 2, 2]);

    assert.deepEqual(
      told.map(({ step, shares }) => [step, ...shares.map(({ microBatches }) => microBatches)]),
      [
        [0, 4, 4, 4],
        [2, 8, 2, 2],
      ],
    );
    assert.deepEqual(told[1]!.stragglers, []);
  });

  test('leaves shares as they are where others would make a step hardly shorter', () => {
    const { balance } = balanceOf({ policy: 'adaptive' }, 40);
    const sharesAt = (step: number, ...times: readonly number[]): number[] =>
      balance.share(step, 40, parties(...times.map((ms) => ({ ms }))));

    assert.deepEqual(sharesAt(0, 10, 10), [20, 20]);
    assert.deepEqual(sharesAt(1, 10, 10.6), [20, 20]);
    assert.deepEqual(sharesAt(2, 10, 12), [22, 18]);
  });

  test('keeps shares for as many steps as it should, also of steps with fewer micro-batches', () => {
    const { balance, told } = balanceOf({ policy: 'equal', everySteps: 10 }, 8);
    const [two, three] = [parties({}, {}), parties({}, {}, {})];

    // Of the first step one micro-batch is measured first.
    assert.deepEqual(balance.share(0, 1, two), [0, 1]);
    assert.deepEqual(balance.share(0, 8, two), [4, 4]);
    assert.deepEqual(balance.share(9, 3, two), [1, 2]);
    // Somebody came.
    assert.deepEqual(balance.share(9, 8, three), [2, 2, 4]);
    assert.deepEqual(balance.share(19, 8, three), [2, 2, 4]);
    assert.deepEqual(
      told.map(({ step }) => step),
      [0, 9],
    );
    assert.equal(balance.isByRule, true);
  });

  test('takes scores of the run before those of the workers, and unknown ones for average', () => {
    const workers = parties({ score: 1 }, { score: 1 }, {});
    const own = balanceOf({ policy: 'proportional' }, 12).balance;
    const given = balanceOf({ policy: 'proportional', scores: [4, 1, 1] }, 12).balance;

    assert.deepEqual(own.share(0, 12, workers), [4, 4, 4]);
    assert.deepEqual(given.share(0, 12, workers), [8, 2, 2]);
  });

  test('names stragglers, and tells nothing of a worker that is alone', () => {
    const { balance, told } = balanceOf({ policy: 'dynamic', everySteps: 1 }, 12);

    balance.share(0, 12, parties({ ms: 10, score: 1 }));
    assert.equal(told.length, 0);
    const workers = parties({ ms: 10, score: 1 }, { ms: 10, score: 1 }, { ms: 20, score: 1 });
    balance.share(1, 12, workers);

    assert.deepEqual(told[0]!.stragglers, [2]);
  });
});
