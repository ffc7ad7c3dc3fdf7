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
  /** The worker answers what it was last asked about its state. */
  const answer = ({ member, received }: TestMember, stateDigest = 's'): void => {
    clock.advance(5);
    const asked = received.findLast((message) => message.kind === 'sendDigest');
    states.takeDigest(member, asked?.ask ?? -1, { weightsDigest: 'w', stateDigest });
  };
  const told = { clock, trajectory, states, workers, activated, rollbacks };
  return { ...told, join, commit, kindsOf, answer };
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
    const { states, activated, join, commit, kindsOf, answer } = createWorld();
    const a = join('a', 'active');
    commit();
    const b = join('b');

    states.serve();
    assert.deepEqual(kindsOf(a), ['sendState 1', 'sendDigest 1']);
    assert.equal(b.member.phase, 'syncing');
    assert.equal(states.isFetching && states.isDonor(a.member), true);
    states.take(b.member, 1, STATE);
    states.take(a.member, 0, STATE);
    answer(a);
    assert.equal(states.isFetching, true);
    states.take(a.member, 1, STATE);
    assert.equal(states.compare(), undefined);

    assert.deepEqual(activated, ['b']);
    assert.deepEqual(kindsOf(b), ['state 1']);
    assert.equal(states.isFetching, false);
  });

  test('keeps a state only when all have the same, and says who has another', () => {
    for (const wrong of [0, 1, 2]) {
      const { trajectory, states, join, commit, answer } = createWorld();
      const workers = ['a', 'b', 'c'].map((name) => join(name));
      states.serve();
      commit();
      const [donor] = workers as [TestMember];
      states.fetch();
      states.take(donor.member, 1, STATE);
      for (const [i, worker] of workers.entries()) {
        assert.equal(states.compare(), undefined);
        answer(worker, i === wrong ? 'other' : 'same');
      }

      const split = states.compare();
      assert.deepEqual(
        split?.wrong.map(({ workerId }) => workerId),
        [workers[wrong]!.member.workerId],
      );
      assert.deepEqual([split?.agreedStep, trajectory.isKept], [0, false]);
    }
  });

  test('cannot tell which of two is wrong, and gives both what they had in common', () => {
    const { trajectory, states, join, commit, kindsOf, answer } = createWorld();
    const workers = [join('a'), join('b')];
    states.serve();
    commit();
    states.fetch();
    states.take(workers[0]!.member, 1, STATE);
    for (const worker of workers) answer(worker, 'same');
    assert.equal(states.compare(), undefined);
    assert.equal(trajectory.isKept, true);
    commit();
    states.askForDigests(workers.map(({ member }) => member));
    for (const [i, worker] of workers.entries()) answer(worker, String(i));

    const split = states.compare();
    assert.deepEqual([split?.wrong, split?.agreedStep], [[], 1]);
    states.abandoned();
    assert.deepEqual(states.giveAnew(1), { fromStep: 2, toStep: 1 });
    assert.deepEqual(kindsOf(workers[1]!).at(-1), 'state 1');
  });

  test('does not take a late answer about a step for one about the same step done again', () => {
    const { clock, states, join, commit, answer } = createWorld();
    const workers = [join('a'), join('b')];
    states.serve();
    commit();
    states.askForDigests(workers.map(({ member }) => member));
    clock.advance(5);
    const [late, other] = workers as [TestMember, TestMember];
    const old = late.received.findLast((message) => message.kind === 'sendDigest')!;
    states.giveAnew(0);
    commit();
    states.askForDigests(workers.map(({ member }) => member));
    answer(other, 'same');
    states.takeDigest(late.member, old.ask, { weightsDigest: 'w', stateDigest: 'spoiled' });
    assert.equal(states.isComparing, true);
    answer(late, 'same');

    assert.equal(states.compare(), undefined);
    assert.equal(states.isComparing, false);
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

    assert.equal(states.trustedStep(['liar', 'a']), 0);
    assert.deepEqual(states.undo(states.trustedStep(['liar'])), { fromStep: 3, toStep: 1 });
    assert.deepEqual(kindsOf(a).at(-1), 'state 1');
    assert.equal(states.undo(states.trustedStep(['liar'])), undefined);
  });

  test('finds a donor overdue that sends nothing for ten seconds, but not a slow one', () => {
    const { clock, states, join, commit } = createWorld();
    const a = join('a', 'active');
    commit();
    states.overdue();
    states.fetch();
    clock.advance(9_000);
    assert.deepEqual(states.overdue(), []);
    a.data.send({ kind: 'applied', step: 1, norms: [] });
    clock.advance(9_000);
    assert.deepEqual(states.overdue(), []);
    clock.advance(10_500);

    assert.deepEqual(states.overdue(), [{ member: a.member, silentMs: 10_500 }]);
  });

  test('finds those overdue who owe a digest', () => {
    const { clock, states, join, answer } = createWorld();
    const [a, b] = [join('worker 0', 'active'), join('worker 1', 'active')];
    states.askForDigests([a.member, b.member]);
    answer(a);
    states.overdue();
    clock.advance(10_500);

    assert.deepEqual(
      states.overdue().map(({ member }) => member.workerId),
      ['worker 1'],
    );
    assert.deepEqual(states.digestsOf(a.member), { weightsDigest: 'w', stateDigest: 's' });
    assert.equal(states.digestsOf(b.member), undefined);
  });
});
