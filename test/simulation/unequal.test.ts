/** Workers of which one is four times as fast as the others, on virtual time: no noise but ours. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { StepCommitted } from '../../src/metrics/events.ts';
import type { BalancePolicy } from '../../src/plan/balance-policies.ts';
import { slowestPartMs } from '../../src/plan/shares.ts';
import { SimulatedCluster } from './simulated-cluster.ts';
import { digestOf } from './simulated-engine.ts';

const STEPS = 70;
/** Of each step, so that 16, 4 and 4 of them are done at once. */
const MICRO_BATCHES = 24;
const SLOWNESS = [1, 4, 4];
/** From here on the fast worker is half as fast. */
const SLOWER_AT = 35;
/** In the first steps speeds are learnt, the last waits for nothing. */
const [LEARNT, LAST] = [15, -2];

interface Cluster {
  readonly microBatchMs: number;
  readonly policy: BalancePolicy;
  readonly slowerAt?: number;
}

/** Runs one; how long its steps took, how long each rank computed, and the model. */
function run({ microBatchMs, policy, slowerAt = Infinity }: Cluster) {
  let step = 0;
  const timed = { microBatches: MICRO_BATCHES, microBatchMs, noise: 0.1 };
  const { events, result } = new SimulatedCluster({
    ...{ seed: 1, workers: 3, steps: STEPS, isDisturbed: false, world: 'even' },
    ...{ evaluateEvery: STEPS, snapshotMs: 3_600_000, policy, timed },
    slowness: (name) => {
      const rank = Number(/\d+$/.exec(name)?.[0]);
      return SLOWNESS[rank]! * (rank === 0 && step >= slowerAt ? 2 : 1);
    },
    onEvent: (event) => {
      if (event.kind === 'step') ({ step } = event);
    },
  }).run();
  const steps = events.filter((event) => event.kind === 'step');
  return { steps, digest: digestOf(result.state) };
}

function meanMs(steps: readonly StepCommitted[]): number {
  return steps.reduce((sum, { stepMs }) => sum + stepMs, 0) / steps.length;
}

/** The part of the time of who computes longest that who computes least does not. */
function imbalance(steps: readonly StepCommitted[]): number {
  const busy = SLOWNESS.map((_, rank) =>
    steps.reduce((sum, { ranks }) => sum + ranks.find((r) => r.rank === rank)!.computeMs, 0),
  );
  return 1 - Math.min(...busy) / Math.max(...busy);
}

function idealMs(microBatchMs: number, slowness: readonly number[]): number {
  const parties = slowness.map((factor) => ({
    ...{ lanes: 1, microBatchMs: factor * microBatchMs, stepFixedMs: 0 },
  }));
  return slowestPartMs(MICRO_BATCHES, parties);
}

describe('workers of speeds 4:1:1 in a simulated cluster', () => {
  // Steps that the coordinator leads, and such that the workers are granted. What is missing of the
  // sum of all speeds is what messages take on links of up to 2 ms, and the noise of the slowest.
  for (const { microBatchMs, least } of [
    { microBatchMs: 40, least: 0.95 },
    { microBatchMs: 4, least: 0.92 },
  ]) {
    const how = `where a step takes ${idealMs(microBatchMs, SLOWNESS)} ms`;

    test(`are as fast as the sum of them, and twice as fast as by equal shares, ${how}`, () => {
      const [adaptive, equal] = (['adaptive', 'equal'] as const).map((policy) =>
        run({ microBatchMs, policy }),
      );
      const [ours, theirs] = [adaptive!, equal!].map(({ steps }) => steps.slice(LEARNT, LAST));

      const part = idealMs(microBatchMs, SLOWNESS) / meanMs(ours!);
      assert.ok(part >= least, `${part} of the sum`);
      assert.ok(meanMs(theirs!) / meanMs(ours!) >= 1.8, `${meanMs(theirs!)}, ${meanMs(ours!)} ms`);
      assert.ok(imbalance(ours!) < 0.03, `imbalance ${imbalance(ours!)}`);
      assert.ok(imbalance(theirs!) > 0.7, 'equal shares are no balance');
      assert.equal(adaptive!.digest, equal!.digest);
    });

    test(`are balanced again within ten steps when the fast one slows to half, ${how}`, () => {
      const { steps } = run({ microBatchMs, policy: 'adaptive', slowerAt: SLOWER_AT });

      const calm = steps.slice(LEARNT, SLOWER_AT);
      const besideMs = meanMs(calm) - idealMs(microBatchMs, SLOWNESS);
      const newMs = idealMs(microBatchMs, [2, 4, 4]) + besideMs;
      const after = steps.slice(SLOWER_AT, LAST);
      // Workers are some granted steps ahead of what is heard of them.
      const first = after.findIndex(({ stepMs }) => stepMs > 1.1 * meanMs(calm));
      const isSlow = ({ stepMs }: StepCommitted): boolean => 0.9 * stepMs > newMs;
      const recovered = after.slice(first).findIndex((one) => !isSlow(one));
      assert.ok(first >= 0 && first <= 10, `it slowed down after ${first} steps`);
      assert.ok(recovered >= 0 && recovered <= 10, `${recovered} steps`);
      const late = after.slice(first + recovered).filter(isSlow).length;
      assert.ok(late <= 1, `${late} steps were slow later`);
    });
  }
});
