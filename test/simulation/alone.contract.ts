/** Workers that are alone, and quick: they commit by themselves, while all kinds of faults happen. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type HistoryOptions, SimulatedCluster } from './simulated-cluster.ts';
import { digestOf } from './simulated-engine.ts';

const STEPS = 150;
const OPTIONS = { steps: STEPS, evaluateEvery: 60, world: 'quick' } as const;

export function testAlone(first: number, count: number): void {
  describe('workers that are alone in a simulated cluster', () => {
    test('commit most steps by themselves, to the state of two, in every history of faults', () => {
      const { result } = new SimulatedCluster({
        seed: 0,
        workers: 2,
        isDisturbed: false,
        ...OPTIONS,
      }).run();
      const expected = digestOf(result.state);
      let granted = 0;
      let committed = 0;
      for (let seed = first; seed < first + count; seed++) {
        const history = runOf(seed, {
          onSentToWorker: (_, message) => {
            if (message.kind === 'grant') granted += message.updates.length;
          },
        });
        committed += STEPS;
        assert.equal(digestOf(history.result.state), expected, `seed ${seed}`);
        const { ledger } = history.result;
        assert.deepEqual(ledger, { ...ledger, counted: ledger.expected, duplicated: 0 });
      }
      // Steps that are undone are granted twice.
      assert.ok(granted > committed / 2, `${granted} of ${committed} steps were granted`);
    });
  });
}

function runOf(seed: number, changes: Partial<HistoryOptions>) {
  const workers = 1 + Number(seed % 4 === 0);
  const cluster = new SimulatedCluster({
    seed,
    workers,
    isDisturbed: true,
    ...OPTIONS,
    ...changes,
  });
  try {
    return cluster.run();
  } catch (error) {
    throw new Error(`history ${seed} failed. Faults: ${cluster.faults.join('; ')}`, {
      cause: error,
    });
  }
}
