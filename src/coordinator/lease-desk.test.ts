import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  begunOf,
  countedOf,
  joinMember,
  makePass,
  recordOf,
  type TestMember,
} from '../../test/pass-facts.ts';
import { makeTestPlan } from '../../test/scripted-worker.ts';
import { ManualClock } from '../base/clock.ts';
import { LeaseDesk } from './lease-desk.ts';
import type { Pass } from './steps/pass.ts';

/** A desk and two members, `worker 0` and `worker 1`; `trials` are what they tried, if they did. */
function createWorld(lanes = [1, 1], trials: readonly number[] = []) {
  const clock = new ManualClock();
  const desk = new LeaseDesk(clock, makeTestPlan());
  const workers = lanes.map((count, i) => {
    const trialMs = trials[i];
    return joinMember(clock, `worker ${i}`, {
      lanes: count,
      ...(trialMs !== undefined && { trialMs }),
    });
  });
  const members = workers.map(({ member }) => member);
  const begin = (id: number): Pass => {
    const pass = makePass({ id });
    desk.begun(begunOf(pass, clock.now(), members));
    clock.advance(5);
    return pass;
  };
  /** `worker` finishes all that it has, each micro-batch in so many milliseconds. */
  const finish = (pass: Pass, { member }: TestMember, computeMs: number): void => {
    const records = pass.unfinishedOf(member.workerId).map((m) => recordOf(m, { computeMs }));
    const times = { nowMs: clock.now(), turnaroundMs: 1, busyMs: 1 };
    pass.count(records);
    desk.hear(member, records, true);
    desk.counted(countedOf(member, pass, records, times));
  };
  /** Nobody owes an audit, and somebody has nothing to do. */
  const stuckMs = ({ member }: TestMember, pass: Pass, isAnyIdle = true): number | undefined =>
    desk.stuckMs(member, pass, { owesOther: false, isAnyIdle });
  const leasesOf = (pass: Pass): number[] =>
    members.map(({ workerId }) => pass.unfinishedOf(workerId).length);
  const [a, b] = workers as [TestMember, TestMember];
  return { clock, desk, members, a, b, begin, finish, leasesOf, stuckMs };
}

describe('LeaseDesk', () => {
  test('leases by lanes as long as nothing is known of speeds, and tells everyone its own', () => {
    const { a, b, begin } = createWorld([3, 1]);

    begin(1);

    const leases = [a, b].map(({ received }) => received.at(-1));
    assert.deepEqual(
      leases.map((message) => message?.kind === 'plan' && message.leases),
      [
        [0, 1, 2, 3, 4, 5],
        [6, 7],
      ],
    );
  });

  test('gives a worker that was three times as slow a third of the work of the other', () => {
    const { a, b, begin, finish, leasesOf } = createWorld();
    const first = begin(1);
    finish(first, a, 30);
    finish(first, b, 10);

    assert.deepEqual(leasesOf(begin(2)), [2, 6]);
  });

  test('learns nothing about speed from evaluations', () => {
    const { clock, desk, a, members, begin, leasesOf } = createWorld();
    const evaluation = makePass({ work: 'evaluate' });
    desk.begun(begunOf(evaluation, 0, members));
    const times = { nowMs: clock.now(), turnaroundMs: 1, busyMs: 1 };
    desk.counted(countedOf(a.member, evaluation, [recordOf(0, { computeMs: 9_000 })], times));

    assert.deepEqual(leasesOf(begin(2)), [4, 4]);
  });

  test('tries a worker that is too slow for work with one micro-batch, ever more rarely', () => {
    const { a, b, begin, finish, leasesOf } = createWorld();
    const first = begin(1);
    finish(first, a, 1_000);
    finish(first, b, 1);

    const counts = Array.from({ length: 8 }, (_, i) => {
      const pass = begin(2 + i);
      const [count] = leasesOf(pass);
      finish(pass, a, 1_000);
      finish(pass, b, 1);
      return count;
    });

    assert.deepEqual(counts, [1, 0, 1, 0, 0, 0, 1, 0]);
  });

  test('asks the worker that will be busy longest for half of what it has not started', () => {
    const { clock, desk, a, b, members, begin, finish } = createWorld();
    const pass = begin(1);
    finish(pass, b, 10);

    desk.stealFor(b.member, pass, members);
    desk.stealFor(b.member, pass, members);
    clock.advance(5);

    // Of four one is started; it is asked once until it answers.
    assert.deepEqual(
      a.received.filter(({ kind }) => kind === 'release'),
      [{ kind: 'release', pass: 1, count: 2 }],
    );
  });

  test('gives what was given back to the idle, and does not ask one with nothing again', () => {
    const { clock, desk, a, b, members, begin, finish } = createWorld();
    const pass = begin(1);
    finish(pass, b, 10);
    desk.stealFor(b.member, pass, members);

    desk.takeReleased(a.member, pass, [3], members);
    clock.advance(5);

    assert.deepEqual(b.received.at(-1), { kind: 'lease', pass: 1, microBatches: [3] });
    finish(pass, b, 10);
    desk.takeReleased(a.member, pass, [], members);
    desk.stealFor(b.member, pass, members);
    clock.advance(5);
    assert.equal(a.received.filter(({ kind }) => kind === 'release').length, 1);
  });

  test('says how long a worker has had its work since it last finished some', () => {
    const { clock, desk, a, begin, finish } = createWorld();
    const pass = begin(1);
    clock.advance(45);
    assert.equal(desk.turnaroundMs(a.member, clock.now()), 50);

    finish(pass, a, 10);
    clock.advance(7);

    assert.equal(desk.turnaroundMs(a.member, clock.now()), 7);

    // What it has is to be contributed once more.
    desk.reopened(clock.now());
    clock.advance(3);
    assert.equal(desk.turnaroundMs(a.member, clock.now()), 3);
  });

  test('finds a worker stuck after three seconds, or four times what a micro-batch takes', () => {
    const { clock, a, b, begin, finish, stuckMs } = createWorld();
    const first = begin(1);
    finish(first, b, 10);
    clock.advance(2_990);
    assert.equal(stuckMs(a, first), undefined);
    clock.advance(10);
    assert.equal(stuckMs(a, first), 3_005);
    // It has nothing to do, so that nothing is missed.
    assert.equal(stuckMs(b, first), undefined);
    finish(first, a, 2_000);

    const second = begin(2);
    clock.advance(7_990);
    assert.equal(stuckMs(a, second), undefined);
    clock.advance(10);

    assert.equal(stuckMs(a, second), 8_005);
  });

  test('gives who computes all the time as long as nobody else is idle, or knows better', () => {
    const { clock, a, b, begin, finish, stuckMs } = createWorld();
    const first = begin(1);
    a.member.liveness.beat({ progress: 0, busyLanes: 1 }, clock.now());
    clock.advance(600_000);
    assert.equal(stuckMs(a, first), undefined);
    assert.equal(stuckMs(a, first, false), undefined);
    // Its lanes rest, though it has work.
    assert.equal(stuckMs(b, first), 600_005);

    finish(first, b, 10);

    assert.equal(stuckMs(a, first, false), undefined);
    assert.equal(stuckMs(a, first), 600_005);
  });

  test('goes by what workers tried as long as nobody has computed anything', () => {
    const { clock, desk, members, b, stuckMs } = createWorld([1, 1], [600, 4_000]);
    const pass = makePass({ microBatchCount: 1 });
    desk.begun(begunOf(pass, clock.now(), members));
    clock.advance(2_400);
    assert.deepEqual(desk.late(pass, members), []);
    clock.advance(1);
    // Four times what one took the other, which has nothing to do.
    assert.deepEqual(desk.late(pass, members), [b.member]);

    clock.advance(13_599);
    assert.equal(stuckMs(b, pass), undefined);
    clock.advance(1);
    assert.equal(stuckMs(b, pass), 16_001);
  });

  test('gives a newcomer time by what it tried, or took others if that is longer', () => {
    const { clock, a, b, begin, finish, stuckMs } = createWorld([1, 1, 1], [4_000, 600, 10]);
    const pass = begin(1);
    clock.advance(3_000);
    assert.equal(stuckMs(a, pass), undefined);
    assert.equal(stuckMs(b, pass), 3_005);

    finish(pass, a, 5_000);

    assert.equal(stuckMs(b, pass), undefined);
    clock.advance(17_000);
    assert.equal(stuckMs(b, pass), 20_005);
  });

  test('finds a worker late once others are done for long, whatever progress it makes', () => {
    const { clock, desk, members, a, b, begin, finish } = createWorld();
    const pass = begin(1);
    clock.advance(60_000);
    assert.deepEqual(desk.late(pass, members), []);
    const next = begin(2);
    finish(next, b, 10);
    clock.advance(1_990);
    a.member.liveness.beat({ progress: 7, busyLanes: 1 }, clock.now());
    assert.deepEqual(desk.late(next, members), []);
    clock.advance(10);

    assert.deepEqual(desk.late(next, members), [a.member]);
  });

  test('gives a pass that takes others long four times as long', () => {
    const { clock, desk, members, a, b, begin, finish } = createWorld();
    const pass = begin(1);
    clock.advance(9_995);
    finish(pass, b, 2_000);
    clock.advance(30_000);
    assert.deepEqual(desk.late(pass, members), []);
    clock.advance(1);

    assert.deepEqual(desk.late(pass, members), [a.member]);
  });

  test('gives a late worker no leases before it has got on with its old ones', () => {
    const { clock, desk, members, a, b, begin, finish } = createWorld();
    const pass = begin(1);
    finish(pass, b, 10);
    clock.advance(3_000);
    assert.equal(desk.isFree(a.member), true);
    desk.late(pass, members);
    assert.equal(desk.isFree(a.member), false);

    a.member.liveness.beat({ progress: 1, busyLanes: 1 }, clock.now());

    assert.equal(desk.isFree(a.member), true);
  });

  test('remembers how fast a worker is that joins again', () => {
    const { clock, desk, a, b, begin, finish, members } = createWorld();
    const first = begin(1);
    finish(first, a, 30);
    finish(first, b, 10);
    const again = joinMember(clock, 'worker 0').member;
    const second = makePass({ id: 2 });

    desk.begun(begunOf(second, clock.now(), [again, members[1]!]));

    assert.equal(second.unfinishedOf('worker 0').length, 2);
    assert.equal(second.unfinishedOf('worker 1').length, 6);
  });

  test('gives less to whoever is reached slowly, and tries it now and then', () => {
    const { clock, desk, a, b, begin, leasesOf } = createWorld();
    const pass = begin(1);
    for (const [worker, turnaroundMs] of [
      [a, 40_010],
      [b, 10],
    ] as const) {
      const records = pass.unfinishedOf(worker.member.workerId).map((m) => recordOf(m));
      const times = { nowMs: clock.now(), turnaroundMs, busyMs: 10 };
      desk.hear(worker.member, records, true);
      desk.counted(countedOf(worker.member, pass, records, times));
    }

    assert.deepEqual(leasesOf(begin(2)), [1, 7]);
    assert.deepEqual(leasesOf(begin(3)), [0, 8]);
  });
});
