import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { countedOf, joinMember, makePass, recordOf } from '../../test/pass-facts.ts';
import { ManualClock } from '../base/clock.ts';
import type { Member } from '../membership/member.ts';
import { Tallies } from './tallies.ts';

const clock = new ManualClock();
const TIMES = { nowMs: 0, turnaroundMs: 1, busyMs: 1 };

function count(tallies: Tallies, member: Member, microBatches: number, pass = makePass()): void {
  const records = Array.from({ length: microBatches }, (_, m) => recordOf(m));
  tallies.counted(countedOf(member, pass, records, TIMES));
}

describe('Tallies', () => {
  test(
    'count what workers have trained on, those that are gone and those that are there, ' +
      'by rank',
    () => {
      const tallies = new Tallies();
      const { member: there } = joinMember(clock, 'worker 1');
      const { member: gone } = joinMember(clock, 'worker 0');
      count(tallies, there, 2);
      count(tallies, gone, 3);
      count(tallies, gone, 1);
      tallies.left({ how: 'lost', member: gone, step: 0, reason: '' });

      assert.deepEqual(
        tallies.of([there]).map(({ rank, samples, microBatches }) => [rank, samples, microBatches]),
        [
          [0, 8, 4],
          [1, 4, 2],
        ],
      );
    },
  );

  test('add what a worker did before it had to join again', () => {
    const tallies = new Tallies();
    const { member: before } = joinMember(clock, 'worker 0');
    const { member: after } = joinMember(clock, 'worker 0', { lanes: 4 });
    count(tallies, before, 2);
    tallies.left({ how: 'lost', member: before, step: 0, reason: '' });
    count(tallies, after, 1);

    assert.deepEqual(
      tallies.of([after]).map(({ lanes, samples }) => [lanes, samples]),
      [[4, 6]],
    );
  });

  test('leave out evaluations, and workers that were never ready', () => {
    const tallies = new Tallies();
    const { member } = joinMember(clock, 'worker 0');
    const { member: late } = joinMember(clock, 'worker 1', { phase: 'loading' });
    count(tallies, member, 2, makePass({ work: 'evaluate' }));
    tallies.left({ how: 'lost', member: late, step: 0, reason: '' });

    assert.deepEqual(
      tallies.of([member, late]).map(({ workerId, samples }) => [workerId, samples]),
      [['worker 0', 0]],
    );
  });

  test('forget strangers who were ready and did nothing, however many come', () => {
    const tallies = new Tallies();
    for (let i = 0; i < 100; i++) {
      const { member } = joinMember(clock, `stranger ${i}`);
      tallies.left({ how: 'lost', member, step: 0, reason: '' });
    }

    assert.deepEqual(tallies.of([]), []);
  });

  test('do not count a stalled worker twice', () => {
    const tallies = new Tallies();
    const { member } = joinMember(clock, 'worker 0');
    count(tallies, member, 2);
    const stall = { step: 0, reason: '', silentMs: 1 };
    tallies.left({ how: 'stalled', member, ...stall });

    assert.equal(tallies.of([member])[0]?.samples, 4);
  });
});
