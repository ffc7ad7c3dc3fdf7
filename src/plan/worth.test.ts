import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type StepParty, type Ways, worthLeavingOut } from './worth.ts';

function party(host: string, microBatchMs: number, lanes = 1): StepParty {
  return { host, lanes, microBatchMs, linkMs: 900, stepFixedMs: 0.5 };
}

/** Nothing on one machine, and `ms` between several; all reach the coordinator alike. */
function between(ms: number): Ways<StepParty> {
  return {
    sumMs: (parties) => (new Set(parties.map(({ host }) => host)).size === 1 ? 0 : ms),
    reachMs: () => 1,
  };
}

describe('worthLeavingOut', () => {
  const [fast, equal, slow] = [party('a', 1), party('b', 1), party('c', 4)];

  test('keeps the faster machine of two whose sums take longer than they save', () => {
    assert.deepEqual(worthLeavingOut(33, 6, [slow, fast], between(29)), {
      leftOut: [slow],
      predictedMs: 6.5,
    });
  });

  test('keeps both where that is faster, or about as fast', () => {
    assert.equal(worthLeavingOut(4.5, 6, [fast, equal], between(1)), undefined);
    assert.equal(worthLeavingOut(7, 6, [fast, equal], between(3.5)), undefined);
  });

  test('leaves the one machine of three out whose link slows the others down', () => {
    const sumMs = (parties: readonly StepParty[]): number | undefined =>
      between(parties.includes(slow) ? 40 : 1).sumMs(parties);

    const ways = { sumMs, reachMs: () => 1 };
    assert.deepEqual(worthLeavingOut(45, 6, [fast, equal, slow], ways), {
      leftOut: [slow],
      predictedMs: 4.5,
    });
  });

  test('keeps whoever reaches the coordinator faster of two that are about equal', () => {
    const far = party('far', 0.95);
    const reachMs = (parties: readonly StepParty[]): number => (parties.includes(far) ? 30 : 2);

    const saving = worthLeavingOut(33, 6, [far, fast], { ...between(29), reachMs });

    assert.deepEqual(saving, { leftOut: [far], predictedMs: 6.5 });
  });

  test('never chooses between the workers of one machine', () => {
    assert.equal(worthLeavingOut(50, 6, [fast, party('a', 1)], between(0)), undefined);
  });

  test('says nothing as long as a speed, or a way without some, is not known', () => {
    const unknown = { ...slow, microBatchMs: undefined };

    assert.equal(worthLeavingOut(50, 6, [fast, unknown], between(40)), undefined);
    assert.equal(
      worthLeavingOut(50, 6, [fast, slow], { sumMs: () => undefined, reachMs: () => 1 }),
      undefined,
    );
  });
});
