/** A worker that commits by itself finds what the coordinator finds behind it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RandomWords } from '../src/base/random.ts';
import { Pass } from '../src/coordinator/steps/pass.ts';
import { Trajectory } from '../src/coordinator/steps/trajectory.ts';
import { microBatchesOfStep, stepsPerEpoch } from '../src/data/batches.ts';
import { type RunPlan, scalarsOf } from '../src/plan/run-plan.ts';
import type { Grant, MicroBatchRecord, Plan } from '../src/protocol/messages.ts';
import { noteBytesOf, readNote, writeNote } from '../src/plan/attempt-note.ts';
import { GrantedSteps, type NextSteps, resultOf, resultOfAll } from '../src/plan/granted-steps.ts';
import { makeTestPlan, NO_BYTES } from './scripted-worker.ts';

const STEPS = 400;
/** Ten samples in batches of eight: every second step is shorter. */
const PLAN = makeTestPlan({
  totalSteps: STEPS,
  train: { sampleCount: 10, globalBatch: 8, microBatch: 2 },
});

function recordsOf(count: number, maximumOf: (microBatch: number) => number): MicroBatchRecord[] {
  return Array.from({ length: count }, (_, microBatch) => ({
    microBatch,
    sampleCount: 2,
    lossSum: 1,
    correctSum: 0,
    maxima: [maximumOf(microBatch)],
    computeMs: 1,
  }));
}

/** A run at its second step, the first that can be granted. */
function begunRun(plan: RunPlan): Trajectory {
  const trajectory = new Trajectory(plan, NO_BYTES);
  for (const pass of [1, 2]) settle(trajectory, pass, () => 1);
  assert.equal(trajectory.step, 1);
  return trajectory;
}

function settle(trajectory: Trajectory, id: number, maximumOf: (microBatch: number) => number) {
  const pass = new Pass(trajectory.specOf('train', id, 'alone'));
  pass.lease('a', pass.uncoveredBy([]));
  pass.count(recordsOf(pass.spec.microBatchCount, maximumOf));
  return trajectory.settle(pass);
}

/** A grant of the steps from `step` up to `until`; with `pass` the first of a run of them. */
function grantOf(
  plan: RunPlan,
  trajectory: Trajectory,
  [step, until]: [number, number],
  pass?: number,
  group?: NonNullable<Grant['start']>['group'],
): Grant {
  const { train } = plan;
  const perEpoch = stepsPerEpoch(train.sampleCount, train.globalBatch);
  const updates = Array.from({ length: until - step }, (_, i) => ({
    sampleCount: microBatchesOfStep(train, (step + i) % perEpoch).sampleCount,
    scalars: { ...scalarsOf(plan, step + i) },
  }));
  const maxima = [...(trajectory.mark().maxima ?? [])];
  const ofGroup = group && { group };
  const start =
    pass === undefined ? undefined : { pass, maxima, stepsPerEpoch: perEpoch, ...ofGroup };
  return { kind: 'grant', step, updates, ...(start && { start }) };
}

/** Granted steps, and the plan of the first. */
function begin(until = STEPS): { granted: GrantedSteps; trajectory: Trajectory; plan: Plan } {
  const trajectory = begunRun(PLAN);
  const granted = new GrantedSteps(PLAN.train.microBatch);
  const plan = granted.take(grantOf(PLAN, trajectory, [1, until], 3), 0)?.plan;
  assert.ok(plan !== undefined);
  return { granted, trajectory, plan };
}

describe('GrantedSteps', () => {
  test('computes and commits what the coordinator would have it, whatever gradients it sees', () => {
    const words = new RandomWords(3, 'synthetic', 0);
    const { granted, trajectory, plan: first } = begin();
    const reasons = new Set<string>();
    let plan: Plan | undefined = first;
    for (let draw = 0; plan !== undefined; draw++) {
      const spec = trajectory.specOf('train', plan.pass, 'alone');
      const { id, microBatchCount, sampleCount: _, ...rest } = spec;
      const { kind: __, pass, leases, ...planned }: Plan = plan;
      assert.deepEqual(
        { ...planned, pass, count: leases.length },
        { ...rest, pass: id, count: microBatchCount },
      );
      // Much larger now and then, and not when it is computed again.
      const maximumOf = (m: number): number =>
        words.uniform(97 * draw + m) < 0.005 ? 4_000 : words.uniform(97 * draw + 50 + m);

      const outcome = settle(trajectory, plan.pass, maximumOf);
      const next: NextSteps | undefined = granted.settle(
        pass,
        resultOf(recordsOf(leases.length, maximumOf).reverse()),
      );

      assert.deepEqual(next?.commit, outcome.kind === 'commit' ? outcome.commit : undefined);
      if (outcome.kind === 'redo') reasons.add(outcome.reason);
      plan = next?.plan;
    }
    assert.equal(trajectory.step, STEPS);
    assert.deepEqual([...reasons].sort(), ['overflow', 'unconfirmed']);
  });

  test('goes on where more is granted, at its end or before, and takes no grant twice', () => {
    const { granted, trajectory, plan } = begin(3);
    const start = grantOf(PLAN, trajectory, [1, 3], 3);
    const more = grantOf(PLAN, trajectory, [3, 4]);
    const all = (count: number): MicroBatchRecord[] => recordsOf(count, () => 1);

    assert.equal(granted.take(start, 0), undefined);
    assert.deepEqual(granted.take(more, 0), {});
    assert.equal(granted.take(more, 0), undefined);
    const steps = [plan.step];
    for (let at: Plan | undefined = plan; at !== undefined;) {
      at = granted.settle(at.pass, resultOf(all(at.leases.length)))?.plan;
      if (at !== undefined) steps.push(at.step);
    }
    assert.deepEqual(steps, [1, 2, 3]);
    assert.equal(granted.take(grantOf(PLAN, trajectory, [4, 5]), 0)?.plan?.step, 4);
  });

  test('stops at a number that is not finite, as it is computed and as it travels', () => {
    for (const lossSum of [Number.NaN, null]) {
      const { granted, plan } = begin();
      const records = recordsOf(plan.leases.length, () => 1).map((r) => ({ ...r, lossSum }));

      assert.deepEqual(granted.settle(plan.pass, resultOf(records)), { failed: plan });
      assert.equal(granted.settle(plan.pass, resultOf(records)), undefined);
    }
  });

  test('has nothing to do once the state is another', () => {
    const { granted, trajectory, plan } = begin(3);

    granted.void();

    assert.equal(
      granted.settle(plan.pass, resultOf(recordsOf(plan.leases.length, () => 1))),
      undefined,
    );
    assert.equal(granted.take(grantOf(PLAN, trajectory, [3, 4]), 0), undefined);
    assert.equal(granted.take(grantOf(PLAN, trajectory, [1, 3], 9), 0)?.plan?.pass, 9);
  });
});

/** A group whose members compute `shares`, and the plan of the first step of each. */
function beginGroup(shares: readonly number[]) {
  const trajectory = begunRun(PLAN);
  const grant = grantOf(PLAN, trajectory, [1, STEPS], 3, { generation: 5, shares: [...shares] });
  const members = shares.map(() => new GrantedSteps(PLAN.train.microBatch));
  const plans = members.map((member, place) => member.take(grant, place)?.plan);
  return { trajectory, members, plans };
}

/** What all members of an attempt tell each other, as it travels. */
function tellOf(plans: readonly Plan[], maximumOf: (microBatch: number) => number) {
  return plans.map(({ leases }) => {
    const all = recordsOf(Math.max(-1, ...leases) + 1, maximumOf);
    const note = new Uint8Array(noteBytesOf(1, 4));
    writeNote(
      all.filter(({ microBatch }) => leases.includes(microBatch)),
      1,
      note,
    );
    return readNote(note, 1);
  });
}

describe('GrantedSteps of a group', () => {
  test('share out otherwise what is granted later, and not what was granted before', () => {
    const trajectory = begunRun(PLAN);
    const granted = new GrantedSteps(PLAN.train.microBatch);
    const group = { generation: 5, shares: [1, 1] };
    const counts: number[] = [];
    let plan = granted.take(grantOf(PLAN, trajectory, [2, 4], 3, group), 0)?.plan;
    granted.take({ ...grantOf(PLAN, trajectory, [4, 6]), shares: [3, 1] }, 0);
    granted.take(grantOf(PLAN, trajectory, [6, 8]), 0);

    while (plan !== undefined) {
      counts.push(plan.leases.length);
      const { length } = plan.exponents;
      const records = [{ maxima: Array.from({ length }, () => 1) }];
      const microBatches = plan.step % 2 === 0 ? 4 : 1;
      plan = granted.settle(plan.pass, { microBatches, isFinite: true, records })?.plan;
    }

    // Every second step has one micro-batch, which the last member computes.
    assert.deepEqual(counts, [2, 0, 3, 0, 3, 0]);
  });

  test('come to what the coordinator would have all commit, whatever gradients they see', () => {
    // Every second step has one micro-batch: some have no part in it.
    for (const shares of [
      [2, 2],
      [1, 3],
      [1, 1, 2],
    ]) {
      const words = new RandomWords(5, 'synthetic', shares.length);
      const { trajectory, members, plans } = beginGroup(shares);
      const reasons = new Set<string>();
      let next: readonly (Plan | undefined)[] = plans;
      for (let draw = 0; next[0] !== undefined; draw++) {
        const present = next.map((plan) => plan!);
        const { pass, step, exponents } = present[0]!;
        const spec = trajectory.specOf('train', pass, 'group');
        assert.deepEqual([spec.step, spec.exponents], [step, exponents]);
        const leases = present.flatMap((plan) => plan.leases);
        assert.deepEqual(
          leases,
          Array.from({ length: spec.microBatchCount }, (_, m) => m),
        );
        // What travels has the precision of gradients.
        const maximumOf = (m: number): number =>
          Math.fround(
            words.uniform(97 * draw + m) < 0.005 ? 4_000 : words.uniform(97 * draw + 50 + m),
          );

        const outcome = settle(trajectory, pass, maximumOf);
        const notes = tellOf(present, maximumOf);
        const found = members.map((member) => member.settle(pass, resultOfAll(notes)));

        const commit = outcome.kind === 'commit' ? outcome.commit : undefined;
        for (const steps of found) assert.deepEqual(steps?.commit, commit);
        if (outcome.kind === 'redo') reasons.add(outcome.reason);
        next = found.map((steps) => steps?.plan);
      }
      assert.equal(trajectory.step, STEPS);
      assert.deepEqual([...reasons].sort(), ['overflow', 'unconfirmed']);
    }
  });

  test('apply nothing of an attempt in which anybody has got what is not a number', () => {
    const { members, plans } = beginGroup([2, 2]);
    const present = plans.map((plan) => plan!);
    const notes = tellOf(present, () => 1);
    const broken = [notes[0]!, { ...notes[1]!, isFinite: false }];

    for (const [index, member] of members.entries())
      assert.deepEqual(member.settle(3, resultOfAll(broken)), { failed: plans[index] });
  });

  test('are of a generation until that is over', () => {
    const { members, plans } = beginGroup([2, 2]);
    const [member] = members as [GrantedSteps];
    const notes = tellOf(
      plans.map((plan) => plan!),
      () => 1,
    );
    assert.deepEqual([member.generationOf(3), member.generationOf(4)], [5, undefined]);

    member.leave(4);
    assert.equal(member.generationOf(3), 5);
    member.leave(5);

    assert.equal(member.generationOf(3), undefined);
    assert.equal(member.settle(3, resultOfAll(notes)), undefined);
  });

  test('believe no notes that are not on all micro-batches', () => {
    const { members, plans } = beginGroup([2, 2]);
    const [first] = tellOf(
      plans.map((plan) => plan!),
      () => 1,
    );

    assert.throws(
      () => members[0]!.settle(3, resultOfAll([first!])),
      /expected all 1 micro-batches/,
    );
  });
});
