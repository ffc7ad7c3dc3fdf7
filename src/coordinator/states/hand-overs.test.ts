import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { countedOf, joinMember, makePass, type TestMember } from '../../../test/pass-facts.ts';
import { ManualClock } from '../../base/clock.ts';
import type { Member, MemberPhase } from '../../membership/member.ts';
import type { RunPlan } from '../../plan/run-plan.ts';
import { HandOvers } from './hand-overs.ts';

const PLAN = { stateBytes: 16, collective: 'auto' } as const;

/** Two workers that have the state of the run, and two that are to get it. */
function createWorld(plan: Pick<RunPlan, 'stateBytes' | 'collective'> = PLAN) {
  const clock = new ManualClock();
  let secrets = 0;
  const doorOf = (name: string) => ({ doors: [{ host: name, port: 1 }] });
  const donors = ['d0', 'd1'].map((name) => joinMember(clock, name, doorOf(name)));
  const late = ['l2', 'l3'].map((name) => joinMember(clock, name, doorOf(name)));
  const alone = joinMember(clock, 'a4');
  for (const { member } of [...late, alone]) member.follow();
  const everyone = [...donors, ...late, alone].map(({ member }) => member);
  const membersIn = (phase: MemberPhase): Member[] => everyone.filter((m) => m.phase === phase);
  const newSecret = (): string => `secret ${++secrets}`;
  const handOvers = new HandOvers({ clock, plan, membersIn, newSecret });
  const heard = ({ received }: TestMember): string[] => {
    clock.advance(5);
    return received.map((message) => JSON.stringify(message));
  };
  const [d0, d1] = donors as [TestMember, TestMember];
  const [l2, l3] = late as [TestMember, TestMember];
  return { clock, handOvers, heard, d0, d1, l2, l3, alone };
}

function asked(step: number, secret: string): string {
  return JSON.stringify({ kind: 'serveState', step, secret });
}

function left(how: 'lost', { member }: TestMember) {
  return { how, member, step: 7, reason: 'gone' } as const;
}

describe('HandOvers', () => {
  test('tell who is to get a state where it is once the donor has told its digest', () => {
    const { handOvers, heard, d0, d1, l2 } = createWorld();

    handOvers.begin(l2.member, 7, 3);
    handOvers.begin(l2.member, 7, 4);
    assert.deepEqual([heard(d0), heard(d1), heard(l2)], [[asked(7, 'secret 1')], [], []]);
    handOvers.takeServing(d1.member, 'secret 1', 'd');
    handOvers.takeServing(d0.member, 'a guess', 'd');
    assert.deepEqual(heard(l2), []);
    for (let i = 0; i < 2; i++) handOvers.takeServing(d0.member, 'secret 1', 'd');

    const [told, ...more] = heard(l2);
    assert.deepEqual(JSON.parse(told ?? ''), {
      ...{ kind: 'fetchState', step: 7, serial: 3, byteLength: 16, stateDigest: 'd' },
      ...{ secret: 'secret 1', doors: [{ host: 'd0', port: 1 }] },
    });
    assert.deepEqual(more, []);
    assert.equal(handOvers.takeFetched(l2.member, 2, true), undefined);
    const { donor, step } = handOvers.takeFetched(l2.member, 3, true) ?? {};
    assert.deepEqual([donor, step], [d0.member, 7]);
    assert.equal(handOvers.takeFetched(l2.member, 3, true), undefined);
  });

  test('have every worker give one state at a time', () => {
    const { handOvers, heard, d0, d1, l2, l3, alone } = createWorld();
    handOvers.begin(l2.member, 7, 1);
    handOvers.begin(l3.member, 7, 2);
    assert.deepEqual([heard(d0), heard(d1)], [[asked(7, 'secret 1')], [asked(7, 'secret 2')]]);
    d1.member.stopFollowing();
    handOvers.left(left('lost', d1));
    handOvers.begin(l3.member, 8, 3);
    assert.equal(heard(d0).length, 1);
    assert.ok(handOvers.isMeantFor(l3.member));

    handOvers.takeServing(d0.member, 'secret 1', 'd');
    handOvers.takeFetched(l2.member, 1, true);
    handOvers.begin(l3.member, 9, 4);

    assert.deepEqual(heard(d0).at(-1), asked(9, 'secret 3'));
    assert.ok(!handOvers.isMeantFor(alone.member), 'it has no door');
  });

  test('are none where all sums go through the coordinator', () => {
    const { handOvers, heard, d0, l2 } = createWorld({ ...PLAN, collective: 'star' });

    assert.ok(!handOvers.isMeantFor(l2.member));
    handOvers.begin(l2.member, 7, 1);

    assert.deepEqual(heard(d0), []);
  });

  const FAILURES: { readonly [what: string]: (world: ReturnType<typeof createWorld>) => void } = {
    'its donor has no memory for a copy': ({ handOvers, d0 }) =>
      handOvers.takeServing(d0.member, 'secret 1', null),
    'its donor computes much later steps': ({ handOvers, d0 }) => {
      const times = { nowMs: 0, turnaroundMs: 1, busyMs: 1 };
      handOvers.counted(countedOf(d0.member, makePass({ step: 20 }), [], times));
    },
    'its donor says nothing': ({ handOvers, clock }) => {
      clock.advance(12_100);
      handOvers.expire();
    },
    'it reads nothing': ({ handOvers, clock, d0 }) => {
      handOvers.takeServing(d0.member, 'secret 1', 'd');
      clock.advance(12_100);
      handOvers.expire();
    },
    'it says that it could not': ({ handOvers, d0, l2 }) => {
      handOvers.takeServing(d0.member, 'secret 1', 'd');
      assert.equal(handOvers.takeFetched(l2.member, 1, false), undefined);
    },
    'what it got is too old': ({ handOvers, d0, l2 }) => {
      handOvers.takeServing(d0.member, 'secret 1', 'd');
      handOvers.takeFetched(l2.member, 1, true);
      handOvers.distrust(l2.member);
    },
  };
  for (const [what, fail] of Object.entries(FAILURES))
    test(`leave a worker to the coordinator when ${what}, until it is up to date`, () => {
      const world = createWorld();
      const { handOvers, l2 } = world;
      handOvers.begin(l2.member, 7, 1);

      fail(world);

      assert.ok(!handOvers.isMeantFor(l2.member));
      handOvers.settle(l2.member);
      assert.ok(handOvers.isMeantFor(l2.member));
    });

  test('wait for a worker that goes on reading, and for a donor that computes', () => {
    const { handOvers, clock, d0, l2 } = createWorld();
    handOvers.begin(l2.member, 7, 1);
    d0.member.liveness.beat({ progress: 1, busyLanes: 1 }, clock.now());
    clock.advance(60_000);
    handOvers.expire();
    handOvers.takeServing(d0.member, 'secret 1', 'd');
    for (let i = 1; i < 6; i++) {
      clock.advance(10_000);
      l2.member.liveness.beat({ progress: 0, receivedBytes: i }, clock.now());
      handOvers.expire();
    }

    assert.ok(handOvers.takeFetched(l2.member, 1, true) !== undefined);
  });

  test('go on when a donor leaves that keeps the state, and with another one if it does not', () => {
    const { handOvers, heard, d0, d1, l2, l3 } = createWorld();
    handOvers.begin(l2.member, 7, 1);
    handOvers.begin(l3.member, 7, 2);
    handOvers.takeServing(d1.member, 'secret 2', 'd');
    for (const donor of [d0, d1]) handOvers.left(left('lost', donor));

    assert.ok(handOvers.takeFetched(l3.member, 2, true) !== undefined);
    d0.member.stopFollowing();
    handOvers.begin(l2.member, 7, 3);

    assert.equal(heard(d1).at(-1), asked(7, 'secret 3'));
  });

  test('forget whoever leaves, and all when the run goes back', () => {
    const { handOvers, d0, d1, l2, l3 } = createWorld();
    handOvers.begin(l2.member, 7, 1);
    handOvers.begin(l3.member, 7, 2);
    handOvers.takeServing(d0.member, 'secret 1', 'd');
    handOvers.takeServing(d1.member, 'secret 2', 'd');

    handOvers.left(left('lost', l2));
    handOvers.clear();

    assert.equal(handOvers.takeFetched(l2.member, 1, true), undefined);
    assert.equal(handOvers.takeFetched(l3.member, 2, true), undefined);
  });
});
