import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { joinMember } from '../../../test/pass-facts.ts';
import { ManualClock } from '../../base/clock.ts';
import type { Member } from '../../membership/member.ts';
import { NO_LOSSES } from '../../plan/divergence.ts';
import type { Mark } from '../steps/trajectory.ts';
import { Returning } from './returning.ts';

const KNOWN = 50;
const ACCOUNT = { sampleCount: 4, lossSum: 2, correctSum: 1 };

function markAt(step: number): Mark {
  const ledger = { expected: 4 * step, counted: 4 * step, dropped: 0, duplicated: 0 };
  return { step, evaluatedStep: 0, maxima: [1], ledger, losses: NO_LOSSES };
}

/** Workers that come with states of these steps and digests, to a run that knows `KNOWN` steps. */
function createWorld(...states: readonly (readonly [step: number, digest: string])[]) {
  const clock = new ManualClock();
  const members = states.map(([step, stateDigest], i): Member => {
    const { member } = joinMember(clock, `w${i}`, { phase: 'ready' });
    const own = Array.from({ length: Math.max(0, step - KNOWN) }, () => ACCOUNT);
    const kept = { step, stateDigest, own, ...(own.length > 0 && { maxima: [2] }) };
    member.load({ numericsClass: 'one', trialMs: 1, kept });
    return member;
  });
  const returning = new Returning({
    clock,
    recollection: { known: KNOWN, markAt: (step) => (step > KNOWN ? undefined : markAt(step)) },
    ...{ snapshotStep: 40, totalSteps: 60, members: () => members },
  });
  const chosen = (): unknown => {
    const point = returning.choose(members);
    return point && [point.mark.step, point.holders.map(({ workerId }) => workerId)];
  };
  return { clock, returning, members, chosen };
}

describe('Returning', () => {
  test('goes on from the newest state, also of steps that only its worker knows', () => {
    const { returning, members, chosen } = createWorld([50, 'a'], [52, 'b'], [49, 'c']);

    assert.deepEqual(chosen(), [52, ['w1']]);
    const { mark, told } = returning.choose(members)!;
    assert.deepEqual([mark.ledger.counted, mark.maxima, told.length], [208, [2], 2]);
  });

  test('believes most of those who have the newest state, and nobody where they are as many', () => {
    assert.deepEqual(createWorld([50, 'a'], [50, 'b'], [50, 'a']).chosen(), [50, ['w0', 'w2']]);
    assert.deepEqual(createWorld([50, 'a'], [50, 'b'], [49, 'c']).chosen(), [49, ['w2']]);
  });

  test('believes no state that is older than the snapshot, or of steps that there are not', () => {
    assert.equal(createWorld([40, 'a'], [61, 'b']).chosen(), undefined);
  });

  test('waits two seconds for workers of which it knows nothing', () => {
    const { clock, returning, members } = createWorld([50, 'a']);

    assert.equal(returning.isComplete(members, 2), false);
    clock.advance(2_000);

    assert.deepEqual([returning.isComplete(members, 2), returning.isComplete([], 2)], [true, true]);
  });
});
