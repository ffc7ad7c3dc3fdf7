/** A worker that commits by itself finds what the coordinator finds behind it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RandomWords } from '../src/base/random.ts';
import { Pass } from '../src/coordinator/pass.ts';
import { Trajectory } from '../src/coordinator/trajectory.ts';
import { microBatchesOfStep, stepsPerEpoch } from '../src/data/batches.ts';
import { type RunPlan, scalarsOf } from '../src/plan/run-plan.ts';
import type { Grant, MicroBatchRecord, Plan } from '../src/protocol/messages.ts';
import { GrantedSteps, type NextSteps } from '../src/worker/granted-steps.ts';
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
): Grant {
  const { train } = plan;
  const perEpoch = stepsPerEpoch(train.sampleCount, train.globalBatch);
  const updates = Array.from({ length: until - step }, (_, i) => ({
    sampleCount: microBatchesOfStep(train, (step + i) % perEpoch).sampleCount,
    scalars: { ...scalarsOf(plan, step + i) },
  }));
  const maxima = [...(trajectory.mark().maxima ?? [])];
  const start = pass === undefined ? undefined : { pass, maxima, stepsPerEpoch: perEpoch };
  return { kind: 'grant', step, updates, ...(start && { start }) };
}

/** Granted steps, and the plan of the first. */
function begin(until = STEPS): { granted: GrantedSteps; trajectory: Trajectory; plan: Plan } {
  const trajectory = begunRun(PLAN);
  const granted = new GrantedSteps(PLAN.train.microBatch);
  const plan = granted.take(grantOf(PLAN, trajectory, [1, until], 3));
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
        recordsOf(leases.length, maximumOf).reverse(),
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

    assert.equal(granted.take(start), undefined);
    assert.equal(granted.take(more), undefined);
    assert.equal(granted.take(more), undefined);
    const steps = [plan.step];
    for (let at: Plan | undefined = plan; at !== undefined;) {
      at = granted.settle(at.pass, all(at.leases.length))?.plan;
      if (at !== undefined) steps.push(at.step);
    }
    assert.deepEqual(steps, [1, 2, 3]);
    assert.equal(granted.take(grantOf(PLAN, trajectory, [4, 5]))?.step, 4);
  });

  test('stops at a number that is not finite, as it is computed and as it travels', () => {
    for (const lossSum of [Number.NaN, null]) {
      const { granted, plan } = begin();
      const records = recordsOf(plan.leases.length, () => 1).map((r) => ({ ...r, lossSum }));

      assert.deepEqual(granted.settle(plan.pass, records), {});
      assert.equal(granted.settle(plan.pass, records), undefined);
    }
  });

  test('has nothing to do once the state is another', () => {
    const { granted, trajectory, plan } = begin(3);

    granted.void();

    assert.equal(
      granted.settle(
        plan.pass,
        recordsOf(plan.leases.length, () => 1),
      ),
      undefined,
    );
    assert.equal(granted.take(grantOf(PLAN, trajectory, [3, 4])), undefined);
    assert.equal(granted.take(grantOf(PLAN, trajectory, [1, 3], 9))?.pass, 9);
  });
});
