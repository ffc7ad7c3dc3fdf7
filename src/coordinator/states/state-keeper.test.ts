import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { makePass, joinMember, recordOf, type TestMember } from '../../../test/pass-facts.ts';
import { ELEMENTS, makeTestPlan, NO_BYTES } from '../../../test/scripted-worker.ts';
import { ManualClock } from '../../base/clock.ts';
import type { Member } from '../../membership/member.ts';
import type { RunPlan } from '../../plan/run-plan.ts';
import type { Door } from '../../protocol/peer-messages.ts';
import { Followers } from './followers.ts';
import { HandOvers } from './hand-overs.ts';
import { Replicas } from './replicas.ts';
import { StateKeeper, type Rollback } from './state-keeper.ts';
import { Sums } from '../steps/sums.ts';
import { Trajectory } from '../steps/trajectory.ts';

const DOORS = [{ host: 'here', port: 1 }];
type Times = [who: string, triedMs: number, restMs: number];
const STATE = new Uint8Array(4 * ELEMENTS).fill(3);

/** A keeper of a run in which nothing is committed, and whom it has told. */
function createWorld(changes: Partial<RunPlan> = {}) {
  const clock = new ManualClock();
  const plan = makeTestPlan({ totalSteps: 100, collective: 'auto', ...changes });
  const trajectory = new Trajectory(plan, NO_BYTES);
  const sums = new Sums(ELEMENTS);
  const workers: TestMember[] = [];
  const activated: string[] = [];
  const rollbacks: Rollback[] = [];
  const overtaken: unknown[] = [];
  const busy = new Set<string>();
  const membersIn = (phase: string) =>
    workers.map(({ member }) => member).filter((m) => m.phase === phase);
  const replicas = new Replicas();
  const handOvers = new HandOvers({ clock, plan, membersIn, newSecret: () => 'secret' });
  const followers = new Followers({
    clock,
    sums,
    handOvers,
    standing: () => trajectory,
    membersIn,
    isFree: ({ workerId }) => !busy.has(workerId),
    onGiven: (member, step) => replicas.given(member, step),
    onGivenBy: (member, donor) => replicas.givenBy(member, donor),
    onActive: ({ workerId }) => void activated.push(workerId),
    onOvertaken: ({ workerId }, triedMs, restMs) =>
      void overtaken.push([workerId, triedMs, restMs]),
    onRead: () => {},
  });
  const states = new StateKeeper({
    plan,
    clock,
    trajectory,
    followers,
    replicas,
    membersIn,
    onRolledBack: (rollback) => void rollbacks.push(rollback),
  });
  const join = (name: string, doors: readonly Door[] = []): TestMember => {
    const worker = joinMember(clock, name, { phase: 'ready', doors });
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
      pass.count(Array.from({ length: spec.microBatchCount }, (_, m) => recordOf(m)));
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
  /** The worker answers what it was last asked about its state. */
  const answer = ({ member, received }: TestMember, stateDigest = 's'): void => {
    clock.advance(5);
    const asked = received.findLast((message) => message.kind === 'sendDigest');
    states.takeDigest(member, asked?.ask ?? -1, { weightsDigest: 'w', stateDigest });
  };
  /** All have the same state, which the donor has sent. */
  const takeAll = (step: number, ...asked: readonly TestMember[]): void => {
    states.take(asked[0]!.member, step, 0, STATE);
    for (const worker of asked) answer(worker);
    assert.equal(states.compare(), undefined);
  };
  const parts = { clock, plan, trajectory, states, followers, handOvers, overtaken };
  return {
    ...parts,
    workers,
    activated,
    rollbacks,
    busy,
    join,
    start,
    commit,
    kindsOf,
    answer,
    takeAll,
  };
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
    const { clock, states, activated, start, join, commit, kindsOf, answer } = createWorld();
    const [a] = start('a');
    commit('alone');
    const b = join('b');

    states.serve();
    assert.deepEqual(kindsOf(a!).slice(2), ['sendState 1', 'sendDigest 1']);
    assert.equal(b.member.phase, 'syncing');
    commit();
    commit();
    states.take(b.member, 1, 0, STATE);
    states.take(a!.member, 0, 0, STATE);
    answer(a!);
    assert.equal(states.compare(), undefined);
    assert.equal(states.isFetching, true);
    states.take(a!.member, 1, 0, STATE);
    assert.equal(states.compare(), undefined);
    clock.advance(2);
    commit();
    clock.advance(10);

    assert.deepEqual(kindsOf(b), ['state 1', 'commit 1', 'commit 2', 'commit 3']);
    assert.deepEqual(activated, ['a', 'b']);
    assert.equal(states.isFetching, false);
  });

  test('lets whoever cannot keep up rest twice as long as it tried', () => {
    const { clock, states, start, join, commit, kindsOf, takeAll } = createWorld();
    const [a] = start('a');
    commit('alone');
    const b = join('b');
    states.serve();
    clock.advance(1_900);
    for (let step = 0; step < 20; step++) {
      commit();
      clock.advance(5);
    }
    takeAll(1, a!);
    assert.equal(b.member.phase, 'ready');

    // It tried for 2,005 ms.
    clock.advance(4_005);
    states.serve();
    assert.equal(b.member.phase, 'ready');
    clock.advance(5);
    states.serve();
    assert.equal(b.member.phase, 'syncing');
    takeAll(21, a!);

    assert.deepEqual(kindsOf(b), ['state 21']);
    assert.equal(b.member.phase, 'active');
  });

  test('gives up whom the others overtake before it has the state, each time for longer', () => {
    const { clock, states, overtaken, start, join, commit, takeAll } = createWorld();
    const [a] = start('a');
    commit('alone');
    const b = join('b');
    states.serve();
    const tenSteps = (): void => {
      for (let i = 0; i < 10; i++) {
        commit();
        clock.advance(90);
      }
    };
    b.hold(100_000);
    takeAll(1, a!);

    tenSteps();
    assert.equal(b.member.phase, 'syncing');
    // Commits are kept for twelve steps, and a second.
    tenSteps();
    assert.equal(b.member.phase, 'ready');

    clock.advance(50_000);
    states.serve();
    // It still reads what is of no use.
    assert.equal(b.member.phase, 'ready');
    clock.advance(50_000);
    states.serve();
    assert.equal(b.member.phase, 'syncing');
    b.hold(200_000);
    takeAll(21, a!);
    for (let i = 0; i < 2; i++) tenSteps();
    assert.equal(b.member.phase, 'ready');

    const [[, firstMs, restMs], [, secondMs, longerMs]] = overtaken as [Times, Times];
    assert.deepEqual([restMs, longerMs, overtaken.length], [2 * firstMs, 4 * secondMs, 2]);
    // What it was sent arrives meanwhile.
    clock.advance(100_000);
    states.serve();
    assert.equal(b.member.phase, 'syncing');
  });

  test('lets nobody follow for whom the state of another worker comes too late', () => {
    const { clock, states, handOvers, join, commit } = createWorld();
    const a = join('a', DOORS);
    states.serve();
    clock.advance(5);
    commit('alone');
    const b = join('b', DOORS);
    states.serve();
    assert.equal(handOvers.stepFor(b.member), 1);
    handOvers.takeServing(a.member, 'secret', 'd');

    for (let i = 0; i < 20; i++) {
      commit();
      clock.advance(90);
    }
    assert.equal(b.member.phase, 'ready');
    clock.advance(20_000);
    states.serve();
    // What is of no use is still on its way.
    assert.equal(b.member.phase, 'ready');
    assert.equal(handOvers.takeFetched(b.member, 2, true), undefined);
    states.serve();

    assert.deepEqual([b.member.phase, handOvers.stepFor(b.member)], ['syncing', 21]);
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

  test('takes a snapshot less often where a state is long on its way', () => {
    const { clock, plan, states, start, commit, answer } = createWorld();
    const [a] = start('a') as [TestMember];
    commit();
    const isAskedAfter = (ms: number): boolean => {
      clock.advance(ms);
      states.serve();
      return states.isFetching;
    };
    assert.equal(isAskedAfter(plan.snapshotMs + 1), true);
    states.take(a.member, 1, 0, STATE.subarray(0, 4));
    clock.advance(plan.snapshotMs);
    states.take(a.member, 1, 4, STATE.subarray(4));
    answer(a);
    assert.equal(states.compare(), undefined);
    commit();

    assert.equal(isAskedAfter(49 * plan.snapshotMs), false);
    assert.equal(isAskedAfter(plan.snapshotMs + 1), true);
  });

  test('lets who is asked for a state say so much more as it has parts', (t) => {
    const { clock, plan, states, start, commit } = createWorld({ stateBytes: 1e9 });
    const [a] = start('a') as [TestMember];
    commit();
    clock.advance(plan.snapshotMs + 1);
    const expect = t.mock.method(a.member.link, 'expect');

    states.serve();

    assert.deepEqual(expect.mock.calls[0]?.arguments, [Math.ceil(1e9 / 2 ** 20)]);
  });

  test('puts a state together of parts in their order, whatever else comes between', () => {
    const { clock, plan, trajectory, states, start, commit, answer } = createWorld();
    const [a, b] = start('a', 'b') as [TestMember, TestMember];
    commit();
    clock.advance(plan.snapshotMs + 1);
    states.serve();
    const state = STATE.map((_, i) => i);
    const part = (member: Member, step: number, from: number, to: number): void =>
      states.take(member, step, from, state.slice(from, to));

    part(a.member, 0, 0, 4);
    part(b.member, 1, 0, 4);
    part(a.member, 1, 4, 8);
    states.targetFor(a.member, 4)?.fill(9);
    part(a.member, 1, 0, 4);
    part(a.member, 1, 0, 4);
    commit();
    states.targetFor(a.member, state.length - 4)?.set(state.subarray(4));
    part(a.member, 1, 4, state.length);
    assert.equal(states.targetFor(a.member, 4), undefined);
    answer(a);
    answer(b);
    assert.equal(states.compare(), undefined);

    const { step, bytes } = trajectory.snapshot;
    assert.deepEqual([step, bytes], [1, state]);
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
    states.fetch();

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

    assert.equal(states.trustedStep(['liar', 'a']), 0);
    assert.deepEqual(states.undo(states.trustedStep(['liar'])), { fromStep: 3, toStep: 1 });
    assert.deepEqual(kindsOf(a!).at(-1), 'state 1');
    assert.equal(states.undo(states.trustedStep(['liar'])), undefined);
  });

  test('finds a donor overdue that sends nothing for ten seconds, but not a slow one', () => {
    const { clock, states, start, commit } = createWorld();
    const [a] = start('a') as [TestMember];
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

  test('keeps a state only when all had the same, and says who had another', () => {
    for (const wrong of [0, 1, 2]) {
      const { trajectory, states, start, commit, answer } = createWorld();
      const workers = start('a', 'b', 'c');
      commit();
      states.fetch();
      commit();
      states.take(workers[0]!.member, 1, 0, STATE);
      for (const [i, worker] of workers.entries()) {
        assert.equal(states.compare(), undefined);
        answer(worker, i === wrong ? 'other' : 'same');
      }

      const split = states.compare();
      assert.deepEqual(
        split?.wrong.map(({ workerId }) => workerId),
        [workers[wrong]!.member.workerId],
      );
      assert.deepEqual([split?.agreedStep, trajectory.snapshot.step], [0, 0]);
    }
  });

  test('cannot tell which of two is wrong, and gives both what they had in common', () => {
    const { trajectory, states, start, commit, kindsOf, answer, takeAll } = createWorld();
    const workers = start('a', 'b');
    commit();
    states.fetch();
    takeAll(1, ...workers);
    assert.equal(trajectory.isKept, true);
    commit();
    states.askForDigests(workers.map(({ member }) => member));
    for (const [i, worker] of workers.entries()) answer(worker, String(i));

    const split = states.compare();
    assert.deepEqual([split?.wrong, split?.agreedStep], [[], 1]);
    assert.deepEqual(states.giveAnew(1), { fromStep: 2, toStep: 1 });
    assert.deepEqual(kindsOf(workers[1]!).at(-1), 'state 1');
  });

  test('does not take a late answer about a step for one about the same step done again', () => {
    const { clock, states, start, commit, answer } = createWorld();
    const [late, other] = start('a', 'b') as [TestMember, TestMember];
    const members = [late.member, other.member];
    commit();
    states.askForDigests(members);
    clock.advance(5);
    const old = late.received.findLast((message) => message.kind === 'sendDigest')!;
    states.giveAnew(0);
    commit();
    states.askForDigests(members);
    answer(other, 'same');
    states.takeDigest(late.member, old.ask, { weightsDigest: 'w', stateDigest: 'spoiled' });
    answer(late, 'same');

    assert.equal(states.compare(), undefined);
    assert.equal(states.digestsOf(late.member)?.stateDigest, 'same');
  });

  test('finds those overdue who owe a digest, unless they compute', () => {
    const { clock, states, start, answer } = createWorld();
    const workers = start('a', 'b', 'c');
    const [a, , c] = workers as [TestMember, TestMember, TestMember];
    states.askForDigests(workers.map(({ member }) => member));
    answer(a);
    c.member.liveness.beat({ progress: 0, busyLanes: 1 }, clock.now());
    states.overdue();
    clock.advance(10_500);

    assert.deepEqual(
      states.overdue().map(({ member }) => member.workerId),
      ['b'],
    );
  });
});
