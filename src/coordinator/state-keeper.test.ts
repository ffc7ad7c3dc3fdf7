import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { makePass, joinMember, recordOf, type TestMember } from '../../test/pass-facts.ts';
import { ELEMENTS, makeTestPlan, NO_BYTES } from '../../test/scripted-worker.ts';
import { ManualClock } from '../base/clock.ts';
import { Followers } from './followers.ts';
import { StateKeeper, type Rollback } from './state-keeper.ts';
import { Sums } from './sums.ts';
import { Trajectory } from './trajectory.ts';

const STATE = new Uint8Array(4 * ELEMENTS).fill(3);

/** A keeper of a run in which nothing is committed, and whom it has told. */
function createWorld() {
  const clock = new ManualClock();
  const plan = makeTestPlan({ totalSteps: 100 });
  const trajectory = new Trajectory(plan, NO_BYTES);
  const sums = new Sums(ELEMENTS);
  const workers: TestMember[] = [];
  const activated: string[] = [];
  const rollbacks: Rollback[] = [];
  const busy = new Set<string>();
  const membersIn = (phase: string) =>
    workers.map(({ member }) => member).filter((m) => m.phase === phase);
  const followers = new Followers({
    clock,
    sums,
    standing: () => trajectory,
    membersIn,
    isFree: ({ workerId }) => !busy.has(workerId),
    onActive: ({ workerId }) => void activated.push(workerId),
    onRead: () => {},
  });
  const states = new StateKeeper({
    plan,
    clock,
    trajectory,
    followers,
    membersIn,
    onRolledBack: (rollback) => void rollbacks.push(rollback),
  });
  const join = (name: string): TestMember => {
    const worker = joinMember(clock, name, { phase: 'ready' });
    workers.push(worker);
    return worker;
  };
  /** Members that have the state of the present step. */
  const start = (...names: string[]): TestMember[] => {
    const joined = names.map((name) => join(name));
    states.serve();
    clock.advance(5);
    return joined;
  };
  /** Computes and commits the next step. */
  const commit = (reduction: 'star' | 'alone' = 'star'): void => {
    for (;;) {
      const spec = trajectory.specOf('train', 1, reduction);
      const pass = makePass({ ...spec });
      assert.equal(sums.begin(spec), true);
      if (reduction === 'star') sums.add(new Uint8Array(4 * ELEMENTS));
      pass.count(Array.from({ length: 8 }, (_, m) => recordOf(m)));
      const outcome = trajectory.settle(pass);
      if (outcome.kind !== 'commit') continue;
      sums.keep(outcome.commit, spec, membersIn('syncing').length === 0);
      return followers.publish();
    }
  };
  const kindsOf = ({ received }: TestMember): string[] => {
    clock.advance(5);
    return received.map((message) => ('step' in message ? `${message.kind} ${message.step}` : ''));
  };
  const parts = { clock, trajectory, states, followers, workers, activated, rollbacks, busy };
  return { ...parts, join, start, commit, kindsOf };
}

describe('StateKeeper', () => {
  test('gives the initial state to those who are ready at first, then makes them active', () => {
    const { clock, states, activated, join, kindsOf } = createWorld();
    const [a, b] = [join('a'), join('b')];

    states.serve();
    assert.deepEqual(activated, []);
    clock.advance(1);

    assert.deepEqual(activated, ['a', 'b']);
    assert.deepEqual([kindsOf(a), kindsOf(b)], [['state 0'], ['state 0']]);
    assert.equal(a.member.phase, 'active');
  });

  test('brings whoever comes later up to date while steps go on', () => {
    const { clock, states, activated, start, join, commit, kindsOf } = createWorld();
    const [a] = start('a');
    commit('alone');
    const b = join('b');

    states.serve();
    assert.deepEqual(kindsOf(a!).slice(2), ['sendState 1']);
    assert.equal(b.member.phase, 'syncing');
    commit();
    commit();
    assert.equal(states.take(b.member, 1, STATE), false);
    assert.equal(states.take(a!.member, 0, STATE), false);
    assert.equal(states.take(a!.member, 1, STATE), true);
    clock.advance(2);
    commit();
    clock.advance(10);

    assert.deepEqual(kindsOf(b), ['state 1', 'commit 1', 'commit 2', 'commit 3']);
    assert.deepEqual(activated, ['a', 'b']);
    assert.equal(states.isFetching, false);
  });

  test('lets whoever cannot keep up rest nine times as long as it tried', () => {
    const { clock, states, start, join, commit, kindsOf } = createWorld();
    const [a] = start('a');
    commit('alone');
    const b = join('b');
    states.serve();
    clock.advance(1_900);
    for (let step = 0; step < 20; step++) {
      commit();
      clock.advance(5);
    }
    states.take(a!.member, 1, STATE);
    assert.equal(b.member.phase, 'ready');

    clock.advance(17_990);
    states.serve();
    assert.equal(b.member.phase, 'ready');
    clock.advance(10);
    states.serve();
    assert.equal(b.member.phase, 'syncing');
    states.take(a!.member, 21, STATE);

    assert.deepEqual(kindsOf(b), ['state 21']);
    assert.equal(b.member.phase, 'active');
  });

  test('sends nothing to a late worker until it has got on with its old work', () => {
    const { clock, followers, busy, start, commit, kindsOf } = createWorld();
    const [, b] = start('a', 'b');
    followers.leaveBehind(b!.member);
    busy.add('b');
    commit();
    commit();
    assert.deepEqual(kindsOf(b!), ['state 0']);

    busy.delete('b');
    followers.feed();
    clock.advance(10);

    assert.deepEqual(kindsOf(b!), ['state 0', 'commit 0', 'commit 1']);
    assert.equal(b!.member.phase, 'active');
  });

  test('leaves an active member behind that has two commits to read, not one who is alone', () => {
    const { clock, workers, start, commit } = createWorld();
    const [a, b] = start('a', 'b');
    commit();
    commit();
    commit();
    assert.deepEqual([a!.member.phase, b!.member.phase], ['syncing', 'syncing']);
    clock.advance(10);
    assert.deepEqual([a!.member.phase, b!.member.phase], ['active', 'active']);

    workers.pop();
    for (let step = 0; step < 5; step++) commit('alone');

    assert.equal(a!.member.phase, 'active');
  });

  test('asks another for the state when the donor leaves', () => {
    const { clock, states, start, join, commit, workers } = createWorld();
    const [a, b] = start('a', 'b');
    for (let step = 0; step < 20; step++) {
      commit();
      clock.advance(5);
    }
    join('c');
    states.serve();
    assert.equal(states.isDonor(a!.member), true);

    states.left({ how: 'lost', member: a!.member, step: 20, reason: 'gone' });
    workers.shift();
    assert.equal(states.isFetching, false);
    states.serve();

    assert.equal(states.isDonor(b!.member), true);
  });

  test('goes back to the snapshot when everyone who had a newer state is gone', () => {
    const { trajectory, states, workers, rollbacks, start, join, commit, kindsOf } = createWorld();
    start('a');
    commit('alone');
    workers.pop();
    const b = join('b');

    states.serve();

    assert.deepEqual(rollbacks, [{ fromStep: 1, toStep: 0 }]);
    assert.equal(trajectory.step, 0);
    assert.deepEqual(kindsOf(b), ['state 0']);
  });

  test('goes on with a member that was stalled when nothing was committed without it', () => {
    const { clock, trajectory, states, activated, rollbacks, start, commit } = createWorld();
    const [a] = start('a');
    commit('alone');
    clock.advance(5);
    a!.member.stall('silent', clock.now());
    a!.member.revive(clock.now());

    states.serve();

    assert.deepEqual(activated, ['a', 'a']);
    assert.deepEqual(rollbacks, []);
    assert.equal(trajectory.step, 1);
  });

  test('undoes the steps since a worker came in, and gives everyone the state before', () => {
    const { clock, trajectory, states, start, commit, kindsOf } = createWorld();
    const [a] = start('a');
    commit();
    clock.advance(5);
    trajectory.keep(trajectory.mark(), STATE);
    start('liar');
    commit();
    clock.advance(5);
    commit();

    assert.deepEqual(states.undo(['liar']), { fromStep: 3, toStep: 1 });
    assert.deepEqual(kindsOf(a!).at(-1), 'state 1');
    assert.equal(states.undo(['liar']), undefined);
  });

  test('finds a donor overdue that sends nothing for ten seconds, but not a slow one', () => {
    const { clock, states, start, commit } = createWorld();
    const [a] = start('a') as [TestMember];
    commit();
    states.overdue(false);
    states.fetch();
    clock.advance(9_000);
    assert.deepEqual(states.overdue(false), []);
    a.data.send({ kind: 'applied', step: 1, norms: [] });
    clock.advance(9_000);
    assert.deepEqual(states.overdue(false), []);
    clock.advance(10_500);

    assert.deepEqual(states.overdue(false), [{ member: a.member, silentMs: 10_500 }]);
  });

  test('finds those overdue who owe a digest, and keeps digests of the present step only', () => {
    const { clock, states, start } = createWorld();
    const [a, b] = start('worker 0', 'worker 1') as [TestMember, TestMember];
    const digests = { weightsDigest: 'w', stateDigest: 's' };
    states.takeDigest(a.member, 0, digests);
    states.takeDigest(b.member, 1, digests);
    states.overdue(true);
    clock.advance(10_500);

    assert.deepEqual(
      states.overdue(true).map(({ member }) => member.workerId),
      ['worker 1'],
    );
    assert.deepEqual(states.digestsOf(a.member), digests);
    assert.equal(states.digestsOf(b.member), undefined);
  });
});
