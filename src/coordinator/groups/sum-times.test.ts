import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { joinMember, makePass, recordOf } from '../../../test/pass-facts.ts';
import { ManualClock } from '../../base/clock.ts';
import type { Member } from '../../membership/member.ts';
import type { LinkSpeed } from '../../plan/sum-cost.ts';
import type { CountedPart } from '../steps/pass-listener.ts';
import type { PassSpec } from '../steps/pass.ts';
import { SumTimes } from './sum-times.ts';

function membersOf(count: number): Member[] {
  const clock = new ManualClock();
  return Array.from({ length: count }, (_, i) => joinMember(clock, `w${i}`).member);
}

describe('SumTimes', () => {
  /** `member` was busy for 5 ms, and its link for `linkMs`. */
  const partOf = (member: Member, linkMs: number, changes: Partial<PassSpec> = {}): CountedPart => {
    const { spec } = makePass(changes);
    const records = [recordOf(0)];
    const contribution = { kind: 'contribution', pass: spec.id, records, busyMs: 5 } as const;
    return { member, spec, contribution, turnaroundMs: 5 + linkMs, nowMs: 0 };
  };

  test('tells the shortest passes of the slowest member, without the first', () => {
    const [a, b] = membersOf(2) as [Member, Member];
    const times = new SumTimes();
    for (const [id, ms] of [
      [1, 1],
      [2, 30],
      [3, 20],
      [4, 25],
    ] as const) {
      times.counted(partOf(a, ms, { id }));
      // What was leased later came sooner.
      times.counted(partOf(a, 2, { id }));
      if (id < 4) times.counted(partOf(b, 10, { id }));
    }

    assert.equal(times.starMsOf([a]), 20);
    assert.equal(times.starMsOf([a, b]), 20);
    assert.equal(times.starMsOf([b]), 10);
    assert.equal(times.starMsOf([a, ...membersOf(1)]), undefined);
  });

  test('learns nothing from passes whose sums do not come', () => {
    const [a] = membersOf(1) as [Member];
    const times = new SumTimes();
    for (const id of [1, 2, 3]) {
      times.counted(partOf(a, 1, { id, reduction: 'group' }));
      times.counted(partOf(a, 1, { id, work: 'evaluate' }));
    }

    assert.equal(times.starMsOf([a]), undefined);
  });

  const FAST: LinkSpeed = { roundTripMs: 0, bytesPerSecond: 125e6 };
  const SLOW: LinkSpeed = { roundTripMs: 0, bytesPerSecond: 1.25e6 };

  test('predicts a group of three, or of two of them, from the links of all', () => {
    const [a, b, c] = membersOf(3) as [Member, Member, Member];
    const times = new SumTimes();
    // From a to b it is fast; to c, and from it, slow.
    times.learn(
      [a, b, c],
      new Map([
        [a, SLOW],
        [b, FAST],
        [c, SLOW],
      ]),
    );

    const msOf = (members: readonly Member[]): number | undefined =>
      times.predictMs(members, 125_000, 'ring');
    assert.equal(msOf([a]), 0);
    assert.equal(msOf([a, b]), 1);
    assert.equal(msOf([a, c]), 100);
    assert.ok(Math.abs(msOf([a, b, c])! - (4 / 3) * 100) < 1e-9);
  });

  test('predicts the better of both ways, and none that is not known', () => {
    const [a, b] = membersOf(2) as [Member, Member];
    const times = new SumTimes();
    assert.equal(times.predictMs([a, b], 125_000, 'auto'), undefined);

    for (const id of [1, 2, 3])
      for (const member of [a, b]) times.counted(partOf(member, 20, { id }));
    assert.equal(times.predictMs([a, b], 125_000, 'auto'), 20);
    assert.equal(times.predictMs([a, b], 125_000, 'ring'), undefined);

    times.learn(
      [a, b],
      new Map([
        [a, FAST],
        [b, FAST],
      ]),
    );
    assert.equal(times.predictMs([a, b], 125_000, 'auto'), 1);
    assert.equal(times.predictMs([a, b], 125_000, 'star'), 20);
  });
});
