/** Workers that stand by and are taken back, while all kinds of faults happen. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type HistoryOptions, SimulatedCluster } from './simulated-cluster.ts';
import { digestOf } from './simulated-engine.ts';

const STEPS = 40;
const OPTIONS = { steps: STEPS, evaluateEvery: 15, mayStandBy: true } as const;
const ONLY_SEED = process.env['LOCKSTEP_HISTORY'];

export function testStandBys(first: number, count: number): void {
  describe('workers of which some stand by in a simulated cluster', () => {
    test('end with the state of one worker, whoever stands by, in every history of faults', () => {
      const { result } = new SimulatedCluster({
        ...{ ...OPTIONS, mayStandBy: false, world: 'lan' },
        ...{ seed: 0, workers: 1, isDisturbed: false },
      }).run();
      const expected = digestOf(result.state);
      const seeds = Array.from({ length: count }, (_, i) => first + i);
      let [leftOut, takenBack] = [0, 0];
      for (const seed of ONLY_SEED === undefined ? seeds : [Number(ONLY_SEED)]) {
        const { events, history } = runOf(seed);
        leftOut += events.filter(({ kind }) => kind === 'workers-left-out').length;
        takenBack += events.filter(({ kind }) => kind === 'workers-taken-back').length;
        assert.equal(digestOf(history.result.state), expected, `seed ${seed}`);
        const { ledger } = history.result;
        assert.deepEqual(ledger, { ...ledger, counted: ledger.expected, duplicated: 0 });
      }
      if (ONLY_SEED !== undefined) return;
      assert.ok(leftOut > count / 2, `${leftOut} times somebody was left out`);
      assert.ok(takenBack > count / 8, `${takenBack} times somebody was taken back`);
    });
  });
}

function runOf(seed: number) {
  const changes: Partial<HistoryOptions> =
    seed % 3 === 0 ? { world: 'wide', steps: STEPS } : { world: 'lan', peerFaults: seed % 3 };
  const workers = 2 + (seed % 3);
  const ranksPerHost = 1 + (seed % 2);
  const cluster = new SimulatedCluster({
    ...{ seed, workers, ranksPerHost, isDisturbed: true },
    ...OPTIONS,
    ...changes,
  });
  try {
    return { history: cluster.run(), events: cluster.events };
  } catch (error) {
    throw new Error(`history ${seed} failed. Faults: ${cluster.faults.join('; ')}`, {
      cause: error,
    });
  }
}
