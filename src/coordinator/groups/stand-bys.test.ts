import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { begunOf, committedOf, joinMember, makePass } from '../../../test/pass-facts.ts';
import { makeTestPlan } from '../../../test/scripted-worker.ts';
import { ManualClock } from '../../base/clock.ts';
import type { Member } from '../../membership/member.ts';
import type { RunEvent } from '../../metrics/events.ts';
import type { BalancePlan } from '../../plan/balance-policies.ts';
import type { RunPlan } from '../../plan/run-plan.ts';
import type { StepTiming } from '../steps/step-times.ts';
import { StandBys } from './stand-bys.ts';

const ADAPTIVE: BalancePlan = { policy: 'adaptive' };

/** Members of machines of their own, micro-batches of 1 ms, and steps that take what is said. */
function createStandBys(changes: Partial<RunPlan> = {}) {
  const clock = new ManualClock();
  const members = ['near0', 'far1'].map((name) => joinMember(clock, name).member);
  const events: RunEvent[] = [];
  const resting = new Map<Member, number>();
  let lastStep: StepTiming | undefined;
  let step = 0;
  const standBys = new StandBys({
    clock,
    plan: makeTestPlan({ balance: ADAPTIVE, ...changes }),
    times: {
      get lastStep() {
        return lastStep!;
      },
    },
    capacitiesOf: (of) => of.map(() => ({ lanes: 1, microBatchMs: 1 })),
    groups: {
      predictMs: (of) => (of.length === 1 ? 0 : undefined),
      reachMs: ([member]) => (member === members[1] ? 40 : 1),
    },
    followers: {
      leaveOut: (member, untilMs) => {
        member.stopFollowing();
        resting.set(member, untilMs - clock.now());
      },
      recall: (member) => void resting.delete(member),
    },
    report: (event) => void events.push(event),
  });
  /** Does `count` steps of `stepMs` each with whoever is active; what is decided is done. */
  const go = (count: number, stepMs: number): void => {
    for (let i = 0; i < count; i++) {
      standBys.act(step);
      const active = members.filter(({ phase }) => phase === 'active');
      const pass = makePass({ step: step++ });
      standBys.begun(begunOf(pass, clock.now(), active));
      clock.advance(stepMs);
      const other = { computeMs: 0, communicateMs: 0, waitMs: 0, otherMs: 0 };
      const part = { samples: 8, microBatches: 4, computeMs: 5, communicateMs: 0, waitMs: 0 };
      const ranks = active.map(({ rank }) => ({ rank, ...part }));
      lastStep = { stepMs, ...other, ranks };
      standBys.completed(committedOf(pass, clock.now()));
    }
    standBys.act(step);
  };
  const [near, far] = members as [Member, Member];
  return { clock, standBys, near, far, events, resting, go };
}

describe('StandBys', () => {
  test('has whoever is far stand by when steps take much longer than its part saves', () => {
    const { far, near, events, resting, go } = createStandBys();

    go(4, 40);

    assert.deepEqual([near.phase, far.phase], ['active', 'ready']);
    // Eight micro-batches of 1 ms, and 1 ms besides.
    const times = { stepMs: 40, predictedMs: 9, retryMs: 60_000 };
    assert.deepEqual(events, [{ kind: 'workers-left-out', step: 3, ranks: [1], ...times }]);
    assert.equal(resting.get(far), 60_000);
  });

  test('leaves nobody out of steps that are about as short as without it, or of a few', () => {
    const { events, go } = createStandBys();
    go(200, 9.5);
    go(1, 300);
    go(200, 9.5);

    assert.deepEqual(events, []);
  });

  test('tries it again, and leaves it out for twice as long if nothing has changed', () => {
    const { clock, far, resting, events, go } = createStandBys();
    go(4, 40);
    go(30, 9);
    clock.advance(60_000);

    far.activate();
    go(4, 40);
    assert.equal(resting.get(far), 120_000);
    far.activate();
    go(100, 9);

    assert.deepEqual(
      events.map(({ kind }) => kind),
      ['workers-left-out', 'workers-taken-back', 'workers-left-out', 'workers-taken-back'],
    );
  });

  test('takes everybody back where steps are no shorter, and leaves nobody out for a while', () => {
    const { clock, far, resting, events, go } = createStandBys();
    go(4, 40);
    go(4, 39);
    assert.equal(resting.get(far), undefined);

    far.activate();
    go(50, 40);
    assert.equal(events.length, 2, 'it was left out, and taken back');
    clock.advance(300_000);
    go(4, 40);
    assert.equal(events.length, 3);
  });

  test('takes everybody back when a worker is lost that took part, and no other', () => {
    const { clock, standBys, near, far, resting, go } = createStandBys();
    go(4, 40);

    const { member: newcomer } = joinMember(clock, 'newcomer2', { phase: 'loading' });
    standBys.left({ how: 'lost', member: newcomer, step: 4, reason: 'killed' });
    assert.equal(resting.has(far), true);
    standBys.left({ how: 'lost', member: near, step: 4, reason: 'killed' });
    assert.equal(resting.has(far), false);
  });

  test('does nothing where all are wanted, shares follow a rule, or steps are audited', () => {
    for (const changes of [
      { balance: { ...ADAPTIVE, keepsAll: true } },
      { balance: { policy: 'equal' } as const },
      { auditRate: 0.1 },
    ]) {
      const { events, go } = createStandBys(changes);
      go(20, 40);
      assert.deepEqual(events, []);
    }
  });
});
