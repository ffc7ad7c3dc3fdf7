import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Rebalanced } from '../metrics/events.ts';
import type { BalancePlan } from '../plan/balance-policies.ts';
import { RandomWords } from '../base/random.ts';
import { slowestPartMs } from '../plan/shares.ts';
import { WorkerSpeed } from '../plan/worker-speed.ts';
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
    // A fifth slower is believed after some steps, twice as slow at once.
    for (let step = 2; step < 12; step++) sharesAt(step, 10, 12);
    assert.deepEqual(sharesAt(12, 10, 12), [21, 19]);
    assert.deepEqual(sharesAt(13, 10, 20), [27, 13]);
  });

  /** A hundred steps of workers whose speeds go up and down by a tenth in every step. */
  function noisySteps(
    truth: readonly number[],
    { count, seed, slowerAt = Infinity }: { count: number; seed: number; slowerAt?: number },
  ): { readonly moves: number; readonly recoveredAfter: number } {
    const { balance } = balanceOf({ policy: 'adaptive' }, count);
    const words = new RandomWords(seed, 'probe');
    const speeds = truth.map(() => new WorkerSpeed(0));
    let before: readonly number[] | undefined;
    let [moves, recoveredAfter] = [0, -1];
    for (let step = 0; step < 100; step++) {
      const times = truth.map((ms, i) => (i === 0 && step >= slowerAt ? 2 * ms : ms));
      const known = speeds.map(({ microBatchMs }) =>
        microBatchMs === undefined ? {} : { ms: microBatchMs },
      );
      const shares = balance.share(step, count, parties(...known));
      // The first steps are those in which speeds become known.
      if (step > 2 && shares.some((share, i) => share !== before?.[i])) moves++;
      before = shares;
      const capacities = times.map((ms) => ({ lanes: 1, microBatchMs: ms, stepFixedMs: 0 }));
      const tookMs = Math.max(...shares.map((share, i) => share * times[i]!));
      if (step >= slowerAt && recoveredAfter < 0 && slowestPartMs(count, capacities) / tookMs > 0.9)
        recoveredAfter = step - slowerAt;
      for (const [i, speed] of speeds.entries()) {
        const noise = 0.9 + 0.2 * words.uniform(step * truth.length + i);
        for (let k = 0; k < shares[i]!; k++) speed.learn(times[i]! * noise);
      }
    }
    return { moves, recoveredAfter };
  }

  test('stays when speeds are noisy by a tenth, and follows a worker that slows to half', () => {
    // Without steady speeds a hundred steps had 20, 62 and 68 moves, on average over 20 seeds.
    const clusters = [
      { truth: [1, 4, 4], count: 24 },
      { truth: [1, 1, 1, 1], count: 48 },
      { truth: [1, 2, 3, 5], count: 64 },
    ];
    for (const { truth, count } of clusters)
      for (let seed = 1; seed <= 10; seed++) {
        const { moves } = noisySteps(truth, { count, seed });
        assert.ok(moves <= 3, `${truth.join(':')}, seed ${seed}: ${moves} moves in 100 steps`);
        const { recoveredAfter } = noisySteps(truth, { count, seed, slowerAt: 50 });
        const late = `${truth.join(':')}, seed ${seed}: after ${recoveredAfter} steps`;
        assert.ok(recoveredAfter >= 0 && recoveredAfter <= 3, late);
      }
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
