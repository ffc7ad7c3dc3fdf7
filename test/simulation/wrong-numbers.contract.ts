/** What becomes of numbers that are wrong without audits: in some runs, and long in more. */
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

/** That what happened at a step was found at the next evaluation, or at a snapshot before it. */
function assertFoundInTime(step: number, foundStep: number): void {
  const evaluated = [4, 8, 10].find((at) => at >= step) ?? Infinity;
  assert.ok(step <= foundStep && foundStep <= evaluated, `at ${step}, found at ${foundStep}`);
}

/** So many seeds for each fault: at least as many as a run has steps. And so many histories. */
export interface WrongNumberCounts {
  readonly seeds: number;
  readonly histories: number;
}

export function testWrongNumbers({ seeds, histories }: WrongNumberCounts): void {
  describe('wrong numbers in a simulated cluster without audits', () => {
    const expected = undisturbedDigest(1);

    for (const workers of [2, 3, 4])
      test(
        `put out the one worker of ${workers} whose result is not a number for nobody else, and ` +
          'end with the undisturbed state',
        () => {
          for (let seed = 1; seed <= seeds; seed++) {
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
      for (let seed = 1; seed <= seeds; seed++) {
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
      for (let seed = 1; seed <= seeds; seed++) {
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
      for (let seed = 1; seed <= histories; seed++) {
        const liar = faultOf(`worker-${seed % 3}`, seed % 8, notANumber, 1);
        checkHistory(seed, expected, { liar, workers: 4 });
      }
    });

    /** Flips a bit of the first weight of `name` once it has applied `step` updates. */
    const flipOf = (name: string, step: number, times = 1): NonNullable<HistoryOptions['flip']> => {
      let left = times;
      return (worker, updates) => worker === name && updates === step && left-- > 0;
    };

    for (const workers of [3, 4])
      test(
        `put out the one replica of ${workers} that goes wrong at the next evaluation, and end ` +
          'with the undisturbed state',
        () => {
          for (let seed = 1; seed <= seeds; seed++) {
            const name = `worker-${seed % workers}`;
            const step = 1 + (seed % STEPS);
            const { result, events } = runOf(seed, workers, { flip: flipOf(name, step) });
            const named = events.flatMap((event) =>
              event.kind === 'worker-distrusted' ? [[event.workerId, event.step]] : [],
            );

            assert.deepEqual(
              named.map(([workerId]) => workerId),
              [name],
              `seed ${seed}`,
            );
            assertFoundInTime(step, Number(named[0]?.[1]));
            assert.equal(digestOf(result.state), expected, `seed ${seed}`);
            assert.deepEqual(
              result.replicaDigests.map(({ stateDigest }) => stateDigest),
              Array(workers - 1).fill(expected),
            );
            assert.equal(result.ledger.counted, result.ledger.expected);
          }
        },
      );

    test('go back to what two replicas had in common when one of them goes wrong', () => {
      for (let seed = 1; seed <= seeds; seed++) {
        const step = 1 + (seed % STEPS);
        const flip = flipOf(`worker-${seed % 2}`, step);
        const { result, events } = runOf(seed, 2, { flip });

        const split = events.flatMap((event) => (event.kind === 'replicas-differ' ? [event] : []));
        assert.deepEqual(
          split.map(({ ranks }) => [...ranks].sort((a, b) => a - b)),
          [[0, 1]],
        );
        assertFoundInTime(step, split[0]!.step);
        assert.deepEqual(namedIn(events, 'worker-distrusted'), []);
        assert.equal(digestOf(result.state), expected, `seed ${seed}`);
      }
    });

    test('end the run of two whose replicas differ again and again', () => {
      assert.throws(
        () => runOf(1, 2, { flip: flipOf('worker-1', 6, Infinity) }),
        /different weights after the same updates, 4 times in a row/,
      );
    });

    test('go back no further than to the last snapshot, which all replicas had', () => {
      let rollbacks = 0;
      for (let seed = 1; seed <= seeds; seed++) {
        const flip = flipOf(`worker-${seed % 3}`, 9);
        const { result, events } = runOf(seed, 3, { flip, snapshotMs: 1 });
        const back = events.flatMap((event) =>
          event.kind === 'rolled-back' ? [event.toStep] : [],
        );

        assert.equal(digestOf(result.state), expected, `seed ${seed}`);
        assert.ok(
          back.every((step) => step >= 8),
          `seed ${seed}: back to ${back.join()}`,
        );
        rollbacks += back.length;
      }
      assert.ok(rollbacks > 0);
    });

    test('accuse nobody of another state in histories of other faults', () => {
      for (let seed = 1; seed <= histories; seed++) {
        const cluster = checkHistory(seed, expected, { snapshotMs: 50 });
        const accused = cluster.events.filter(
          (event) => event.kind === 'worker-distrusted' && event.microBatch === undefined,
        );
        assert.deepEqual(accused, [], `seed ${seed}`);
      }
    });
  });
}
