import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { messageOf } from '../../src/base/errors.ts';
import { SimulatedCluster } from './simulated-cluster.ts';
import { digestOf } from './simulated-engine.ts';

const STEPS = 10;
const HISTORIES = Number(process.env['LOCKSTEP_HISTORIES'] ?? 1000);
const ONLY_SEED = process.env['LOCKSTEP_HISTORY'];

function undisturbedDigest(workers: number): string {
  const history = new SimulatedCluster({ seed: 0, workers, steps: STEPS, isDisturbed: false }).run();
  return digestOf(history.result.state);
}

describe('a simulated cluster', () => {
  const expected = undisturbedDigest(1);

  test('ends with the same state for 1 to 6 workers when nothing goes wrong', () => {
    for (const workers of [2, 3, 4, 5, 6]) assert.equal(undisturbedDigest(workers), expected);
  });

  test('ends with the undisturbed state in every history of faults', () => {
    const seeds =
      ONLY_SEED === undefined ? Array.from({ length: HISTORIES }, (_, i) => i + 1) : [Number(ONLY_SEED)];
    for (const seed of seeds) checkHistory(seed, expected);
  });
});

function checkHistory(seed: number, expected: string): void {
  const cluster = new SimulatedCluster({ seed, workers: 1 + (seed % 4), steps: STEPS, isDisturbed: true });
  try {
    const { result } = cluster.run();
    assert.equal(digestOf(result.state), expected, 'final state');
    assert.equal(result.steps, STEPS, 'steps');
    assert.equal(result.ledger.dropped, 0, 'dropped samples');
    assert.equal(result.ledger.duplicated, 0, 'duplicated samples');
    assert.equal(result.ledger.counted, result.ledger.expected, 'counted samples');
    for (const replica of result.replicaDigests)
      assert.equal(replica.stateDigest, expected, `replica ${replica.rank}`);
    checkReports(cluster);
  } catch (error) {
    const replay = `LOCKSTEP_HISTORY=${seed} node --import tsx --test test/simulation/simulation.test.ts`;
    throw new Error(
      `history ${seed} failed: ${messageOf(error)}\nReplay: ${replay}\nFaults: ${cluster.faults.join('; ')}`,
      { cause: error },
    );
  }
}

/** Every step and every evaluation is reported exactly once, in order. */
function checkReports(cluster: SimulatedCluster): void {
  const steps = cluster.events.filter((event) => event.kind === 'step').map((event) => event.step);
  assert.deepEqual(
    steps,
    Array.from({ length: STEPS }, (_, i) => i + 1),
    'reported steps',
  );
  const evaluations = cluster.events
    .filter((event) => event.kind === 'evaluation')
    .map((event) => event.step);
  assert.deepEqual(evaluations, [4, 8, 10], 'reported evaluations');
}
