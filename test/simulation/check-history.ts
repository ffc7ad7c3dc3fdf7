/** Runs one history and judges how it ended. */
import assert from 'node:assert/strict';
import { messageOf } from '../../src/base/errors.ts';
import { type HistoryOptions, SimulatedCluster } from './simulated-cluster.ts';
import { digestOf } from './simulated-engine.ts';

export const STEPS = 10;

/**
 * The digest of the state that every history must end with: the one of `workers` workers without
 * any fault.
 */
export function undisturbedDigest(workers: number, steps = STEPS): string {
  const history = new SimulatedCluster({ seed: 0, workers, steps, isDisturbed: false }).run();
  return digestOf(history.result.state);
}

/**
 * Throws, with the way to replay it by the test of this name, unless history `seed` ends exactly as
 * if nothing had gone wrong.
 */
export function checkHistory(
  seed: number,
  expected: string,
  changes: Partial<HistoryOptions> = {},
  file = changes.world === 'wide' ? 'wide' : 'simulation',
): SimulatedCluster {
  const steps = changes.steps ?? STEPS;
  const workers = 1 + (seed % 4);
  const cluster = new SimulatedCluster({ seed, workers, steps, isDisturbed: true, ...changes });
  try {
    const { result } = cluster.run();
    assert.equal(digestOf(result.state), expected, 'final state');
    assert.equal(result.steps, steps, 'steps');
    assert.equal(result.ledger.dropped, 0, 'dropped samples');
    assert.equal(result.ledger.duplicated, 0, 'duplicated samples');
    assert.equal(result.ledger.counted, result.ledger.expected, 'counted samples');
    for (const replica of result.replicaDigests)
      assert.equal(replica.stateDigest, expected, `replica ${replica.rank}`);
    checkReports(cluster, steps);
    return cluster;
  } catch (error) {
    const test = `test/simulation/${file}.test.ts`;
    const replay = `LOCKSTEP_HISTORY=${seed} node --import tsx --test ${test}`;
    throw new Error(
      `history ${seed} failed: ${messageOf(error)}\nReplay: ${replay}\nFaults: ` +
        cluster.faults.join('; '),
      { cause: error },
    );
  }
}

/** Every step and every evaluation is reported exactly once, in order. */
function checkReports(cluster: SimulatedCluster, stepCount: number): void {
  let steps: number[] = [];
  let evaluations: number[] = [];
  for (const event of cluster.events) {
    if (event.kind === 'step') steps.push(event.step);
    else if (event.kind === 'evaluation') evaluations.push(event.step);
    else if (event.kind === 'rolled-back' && event.reason !== 'lost') {
      // What was undone is reported again, and the later report counts.
      steps = steps.filter((step) => step <= event.toStep);
      evaluations = evaluations.filter((step) => step < event.toStep);
    }
  }
  assert.deepEqual(
    steps,
    Array.from({ length: stepCount }, (_, i) => i + 1),
    'reported steps',
  );
  const expected = steps.filter((step) => step % 4 === 0 || step === stepCount);
  assert.deepEqual(evaluations, expected, 'reported evaluations');
}
