import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { RunEvent } from '../../src/metrics/events.ts';
import { checkHistory, STEPS, undisturbedDigest } from './check-history.ts';
import { type History, type HistoryOptions, SimulatedCluster } from './simulated-cluster.ts';
import { digestOf } from './simulated-engine.ts';

type Alter = (gradient: Float32Array, step: number) => void;

const notANumber: Alter = (gradient) => void (gradient[5] = Number.NaN);
const highestBit: Alter = (gradient) => void (gradient[5] = 1e30);

/** Has `name` compute wrong from `step` on, `times` times altogether. */
function faultOf(name: string, step: number, alter: Alter, times = Infinity) {
  let left = times;
  return (worker: string): Alter | undefined =>
    worker === name
      ? (gradient, at) => {
          if (at >= step && left-- > 0) alter(gradient, at);
        }
      : undefined;
}

/** A run without audits. */
function runOf(seed: number, workers: number, changes: Partial<HistoryOptions>): History {
  const quiet = { seed, workers, steps: STEPS, isDisturbed: false };
  return new SimulatedCluster({ ...quiet, ...changes }).run();
}

function namedIn(events: readonly RunEvent[], kind: 'worker-distrusted' | 'result-not-repeated') {
  return events.flatMap((event) => (event.kind === kind ? [event.workerId] : []));
}

describe('wrong numbers in a simulated cluster without audits', () => {
  const expected = undisturbedDigest(1);

  for (const workers of [2, 3, 4])
    test(
      `put out the one worker of ${workers} whose result is not a number for nobody else, and ` +
        'end with the undisturbed state',
      () => {
        for (let seed = 1; seed <= 25; seed++) {
          const name = `worker-${seed % workers}`;
          const liar = faultOf(name, seed % 8, notANumber);
          const { result, events } = runOf(seed, workers, { liar });

          assert.deepEqual(namedIn(events, 'worker-distrusted'), [name], `seed ${seed}`);
          assert.equal(digestOf(result.state), expected, `seed ${seed}`);
          assert.equal(result.ledger.counted, result.ledger.expected);
          assert.ok(!events.some(({ kind }) => kind === 'rolled-back'), 'nothing is undone');
        }
      },
    );

  test('go on with a worker that is alone and gets a number when it computes again', () => {
    for (let seed = 1; seed <= 25; seed++) {
      const liar = faultOf('worker-0', seed % 8, notANumber, 1);
      const { result, events } = runOf(seed, 1, { liar });

      assert.deepEqual(namedIn(events, 'result-not-repeated'), ['worker-0'], `seed ${seed}`);
      assert.deepEqual(namedIn(events, 'worker-distrusted'), []);
      assert.equal(digestOf(result.state), expected, `seed ${seed}`);
    }
  });

  test('end the run where all workers, or one that is alone, get no number again', () => {
    for (const workers of [1, 2, 3]) {
      const liar = (): Alter => (gradient, step) => {
        if (step >= 3) notANumber(gradient, step);
      };

      assert.throws(() => runOf(1, workers, { liar }), { code: 'NON_FINITE' });
    }
  });

  test('end the run when a worker that is alone gets numbers only when asked again', () => {
    let count = 0;
    // Of a pass of twelve micro-batches the first is wrong, the two comparisons are not.
    const liar = (): Alter => (gradient, step) => {
      if (count++ % 14 === 0) notANumber(gradient, step);
    };

    assert.throws(() => runOf(1, 1, { liar }), /computed the same again, and so each time/);
  });

  test('leave no mark on the grid when one element is far too large once', () => {
    for (let seed = 1; seed <= 25; seed++) {
      for (const workers of [1, 2, 3]) {
        const liar = faultOf('worker-0', seed % 8, highestBit, 1);
        const { result, events } = runOf(seed, workers, { liar });

        const reasons = events.flatMap((event) =>
          event.kind === 'step-redone' ? [event.reason] : [],
        );
        assert.ok(reasons.includes('unconfirmed'), `seed ${seed}: ${reasons.join(' ')}`);
        assert.equal(digestOf(result.state), expected, `seed ${seed}`);
      }
    }
  });

  test('change nothing in histories of other faults', () => {
    for (let seed = 1; seed <= 100; seed++) {
      const liar = faultOf(`worker-${seed % 3}`, seed % 8, notANumber, 1);
      checkHistory(seed, expected, { liar, workers: 4 });
    }
  });
});
