import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { joinMember, makePass, recordOf, type TestMember } from '../../test/pass-facts.ts';
import { ELEMENTS, makeTestPlan, NO_BYTES } from '../../test/scripted-worker.ts';
import { ManualClock } from '../base/clock.ts';
import { StateKeeper, type Rollback } from './state-keeper.ts';
import { Trajectory } from './trajectory.ts';

const STATE = new Uint8Array(4 * ELEMENTS).fill(3);

/** A keeper of a run in which nothing is committed, and whom it has told. */
function createWorld() {
  const clock = new ManualClock();
  const plan = makeTestPlan({ totalSteps: 10 });
  const trajectory = new Trajectory(plan, NO_BYTES);
  const workers: TestMember[] = [];
  const activated: string[] = [];
  const rollbacks: Rollback[] = [];
  const states = new StateKeeper({
    plan,
    clock,
    trajectory,
    membersIn: (phase) => workers.map(({ member }) => member).filter((m) => m.phase === phase),
    onActive: ({ workerId }) => void activated.push(workerId),
    onRolledBack: (rollback) => void rollbacks.push(rollback),
  });
  const join = (name: string, phase: 'ready' | 'active' = 'ready'): TestMember => {
    const worker = joinMember(clock, name, { phase });
    workers.push(worker);
    return worker;
  };
  /** Computes and commits the next step. */
  const commit = (): void => {
    for (let outcome = ''; outcome !== 'commit';) {
      const pass = makePass({ ...trajectory.specOf('train', 1, 'star') });
      pass.count(Array.from({ length: 8 }, (_, m) => recordOf(m)));
      outcome = trajectory.settle(pass).kind;
    }
  };
  const kindsOf = ({ received }: TestMember): string[] => {
    clock.advance(5);
    return received.map((message) => ('step' in message ? `${message.kind} ${message.step}` : ''));
  };
  return { clock, trajectory, states, workers, activated, rollbacks, join, commit, kindsOf };
}

describe('StateKeeper', () => {
  test('gives the initial state to those who are ready at first, and makes them active', () => {
    const { states, activated, join, kindsOf } = createWorld();
    const [a, b] = [join('a'), join('b')];

    states.serve();

    assert.deepEqual(activated, ['a', 'b']);
    assert.deepEqual([kindsOf(a), kindsOf(b)], [['state 0'], ['state 0']]);
    assert.equal(a.member.phase, 'active');
  });

  test('asks an active member for the state when somebody comes later, who waits for it', () => {
    const { states, activated, join, commit, kindsOf } = createWorld();
    const a = join('a', 'active');
    commit();
    const b = join('b');

    states.serve();
    assert.deepEqual(kindsOf(a), ['sendState 1']);
    assert.equal(b.member.phase, 'syncing');
    assert.equal(states.isFetching && states.isDonor(a.member), true);
    assert.equal(states.take(b.member, 1, STATE), false);
    assert.equal(states.take(a.member, 0, STATE), false);
    assert.equal(states.take(a.member, 1, STATE), true);

    assert.deepEqual(activated, ['b']);
    assert.deepEqual(kindsOf(b), ['state 1']);
    assert.equal(states.isFetching, false);
  });

  test('fetches nothing any more when the donor leaves or the pass is abandoned', () => {
    const { states, join, commit } = createWorld();
    const a = join('a', 'active');
    commit();
    const b = join('b');
    states.serve();

    states.left({ how: 'lost', member: a.member, step: 1, reason: 'gone' });
    assert.equal(states.isFetching, false);
    assert.equal(b.member.phase, 'syncing');
    states.abandoned();

    assert.equal(b.member.phase, 'ready');
  });

  test('goes back to the snapshot when everyone who had a newer state is gone', () => {
    const { trajectory, states, workers, rollbacks, join, commit, kindsOf } = createWorld();
    join('a', 'active');
    commit();
    workers.pop();
    const b = join('b');

    states.serve();

    assert.deepEqual(rollbacks, [{ fromStep: 1, toStep: 0 }]);
    assert.equal(trajectory.step, 0);
    assert.deepEqual(kindsOf(b), ['state 0']);
  });

  test('knows that a stalled member has the newest state only if it had it when it stalled', () => {
    const { states, join, commit } = createWorld();
    const { member } = join('a', 'active');
    const stall = { how: 'stalled', member, reason: 'silent', silentMs: 2_000 } as const;

    states.left({ ...stall, step: 0, wasActive: true });
    assert.equal(states.isNewest(member), true);
    commit();
    assert.equal(states.isNewest(member), false);
    states.left({ ...stall, step: 1, wasActive: false });

    assert.equal(states.isNewest(member), false);
  });

  test('undoes the steps since a worker came in, and gives everyone the state before', () => {
    const { trajectory, states, join, commit, kindsOf } = createWorld();
    const a = join('a');
    states.serve();
    commit();
    trajectory.keep(STATE);
    join('liar');
    states.serve();
    commit();
    commit();

    assert.deepEqual(states.undo(['liar']), { fromStep: 3, toStep: 1 });
    assert.deepEqual(kindsOf(a).at(-1), 'state 1');
    assert.equal(states.undo(['liar']), undefined);
  });

  test('finds a donor overdue that sends nothing for ten seconds, but not a slow one', () => {
    const { clock, states, join, commit } = createWorld();
    const a = join('a', 'active');
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
    const { clock, states, join } = createWorld();
    const [a, b] = [join('worker 0', 'active'), join('worker 1', 'active')];
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
