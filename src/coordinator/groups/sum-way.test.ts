import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { joinMember } from '../../../test/pass-facts.ts';
import { ManualClock } from '../../base/clock.ts';
import type { Member } from '../../membership/member.ts';
import type { LinkSpeed } from '../../plan/sum-cost.ts';
import { wayOf } from './sum-way.ts';

const GIGABIT: LinkSpeed = { roundTripMs: 0.2, bytesPerSecond: 125e6 };
const SLOW: LinkSpeed = { roundTripMs: 0.2, bytesPerSecond: 1.25e6 };

function membersOf(count: number): Member[] {
  const clock = new ManualClock();
  return Array.from({ length: count }, (_, i) => joinMember(clock, `w${i}`).member);
}

/** Facts of a ring with these links, whose sums are of 125 kB. */
function factsOf(speeds: readonly LinkSpeed[]) {
  const members = membersOf(speeds.length);
  const links = new Map(members.map((member, i) => [member, speeds[i]!]));
  return { members, links, bytes: 125_000, starMs: undefined, isFree: true };
}

describe('wayOf', () => {
  test('keeps to the ring of equal links, and tells what it predicts from what', () => {
    const way = wayOf('ring', factsOf([GIGABIT, GIGABIT, GIGABIT]));

    assert.equal(way?.collective, 'ring');
    assert.ok(Math.abs(way.predictedMs - (4 / 3 + 0.4)) < 1e-9);
    assert.equal(
      way.reason,
      'predicted 1.7 ms a step (slowest link 1000 Mbit/s, from rank 2 to rank 0; at most 0.2 ms ' +
        'there and back); through the coordinator 6.2 ms, if its link is as fast',
    );
  });

  test('leaves sums to the coordinator where one pair is slow that others reach quickly', () => {
    const way = wayOf('ring', factsOf([GIGABIT, SLOW, GIGABIT]));

    assert.equal(way?.collective, 'star');
    assert.ok(Math.abs(way.predictedMs - 6.2) < 1e-9);
    assert.equal(
      way.reason,
      'predicted 6.2 ms a step, in a ring 134 ms (slowest link 10 Mbit/s, from rank 0 to rank 1; ' +
        'at most 0.2 ms there and back)',
    );
  });

  test('keeps to the ring where a worker is slow to everybody', () => {
    assert.equal(wayOf('ring', factsOf([SLOW, SLOW, GIGABIT]))?.collective, 'ring');
  });

  test('believes what the coordinator was measured to need rather than what others do', () => {
    const slow = factsOf([SLOW, SLOW]);
    assert.equal(wayOf('ring', slow)?.collective, 'ring');
    const way = wayOf('ring', { ...slow, starMs: 20 });
    assert.deepEqual([way?.collective, way?.predictedMs], ['star', 20]);

    const mixed = factsOf([GIGABIT, SLOW, GIGABIT]);
    const ring = wayOf('ring', { ...mixed, starMs: 100 });
    assert.equal(ring?.collective, 'ring');
    assert.match(ring.reason, /; through the coordinator 100 ms$/);
  });

  test('keeps to the ring for a gain of some milliseconds, or where it was asked for', () => {
    const mixed = factsOf([GIGABIT, SLOW, GIGABIT]);

    assert.equal(wayOf('ring', { ...mixed, bytes: 5_000, starMs: 0.1 })?.collective, 'ring');
    assert.equal(wayOf('ring', { ...mixed, isFree: false })?.collective, 'ring');
  });

  test('says nothing where a link was not measured', () => {
    const facts = factsOf([GIGABIT, GIGABIT]);
    facts.links.delete(facts.members[0]!);

    assert.equal(wayOf('ring', facts), undefined);
  });
});

describe('wayOf several workers of one host', () => {
  /** Two workers on each of two hosts, whose first ones are linked. */
  function twoByTwo(speed: LinkSpeed) {
    const clock = new ManualClock();
    const members = ['a', 'a', 'b', 'b'].map(
      (host, i) => joinMember(clock, `w${i}`, { host }).member,
    );
    const links = new Map([0, 2].map((place) => [members[place]!, speed]));
    return { members, links, bytes: 125_000, starMs: undefined, isFree: true };
  }

  test('predicts what memory takes where they share it', () => {
    const clock = new ManualClock();
    const members = ['w0', 'w1'].map((name) => joinMember(clock, name, { host: 'a' }).member);
    const facts = { members, bytes: 5.2e6, links: new Map(), starMs: undefined, isFree: true };

    const way = wayOf('shm', facts);

    assert.deepEqual([way?.collective, way?.reason], ['shm', 'predicted 1.0 ms a step']);
  });

  test('adds what memory takes, twice, to the ring of those that are linked', () => {
    const way = wayOf('hosts', twoByTwo(GIGABIT));

    assert.equal(way?.collective, 'hosts');
    const sharedMs = 0.03 + (125_000 / 5.2e9) * 1000;
    assert.ok(Math.abs(way.predictedMs - (1 + 0.2 + 2 * sharedMs)) < 1e-9);
    assert.match(way.reason, /slowest link 1000 Mbit\/s, from rank 2 to rank 0/);
  });

  test('leaves sums to a coordinator that was measured to be clearly faster', () => {
    const way = wayOf('hosts', { ...twoByTwo(SLOW), starMs: 20 });

    assert.deepEqual([way?.collective, way?.predictedMs], ['star', 20]);
    assert.match(way?.reason ?? '', /^predicted 20 ms a step, from host to host 100 ms/);
  });
});
