/** What audits promise, in histories of liars and of faults: some, and in the long tests more. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LockstepError, messageOf } from '../../src/base/errors.ts';
import { checkHistory, STEPS, undisturbedDigest } from './check-history.ts';
import { SimulatedCluster, type HistoryOptions } from './simulated-cluster.ts';
import { digestOf } from './simulated-engine.ts';

type Alter = (gradient: Float32Array, step: number) => void;

/**
 * Ways to be wrong; each changes the sum, however little. (A bit below the grid of the sums would be
 * rounded away, and change nothing.)
 */
const LIES: Readonly<Record<string, Alter>> = {
  'ten times too large': (gradient) => gradient.set(gradient.map((value) => value * 10)),
  'half as large': (gradient) => gradient.set(gradient.map((value) => value / 2)),
  'of the other sign': (gradient) => gradient.set(gradient.map((value) => -value)),
  zero: (gradient) => gradient.fill(0),
  'not a number in one place': (gradient) => void (gradient[5] = Number.NaN),
  'off by one bit in one place': (gradient) => {
    const bits = new Uint32Array(gradient.buffer);
    bits[3] = bits[3]! ^ (1 << 8);
  },
};

function liarFrom(step: number, name: string, alter: Alter): NonNullable<HistoryOptions['liar']> {
  return (worker) =>
    worker === name ? (gradient, at) => void (at >= step && alter(gradient, at)) : undefined;
}

/** So many seeds for each way to be wrong, and so many histories of other faults. */
export interface AuditCounts {
  readonly seeds: number;
  readonly honest: number;
  readonly lying: number;
}

export function testAudits({ seeds, honest, lying }: AuditCounts): void {
  describe('audits in a simulated cluster', () => {
    const expected = undisturbedDigest(1);

    for (const [lie, alter] of Object.entries(LIES)) {
      test(
        `put out the one worker of three whose gradients are ${lie}, and end with the state as if ` +
          'it had not been there',
        () => {
          for (let seed = 1; seed <= seeds; seed++) {
            const name = `worker-${seed % 3}`;
            const cluster = new SimulatedCluster({
              seed,
              workers: 3,
              steps: STEPS,
              isDisturbed: false,
              auditRate: 0.25,
              liar: liarFrom(seed % 8, name, alter),
            });
            const { result, events } = cluster.run();
            const distrusted = events.flatMap((event) =>
              event.kind === 'worker-distrusted' ? [event.workerId] : [],
            );

            assert.deepEqual(distrusted, [name], `seed ${seed}`);
            assert.equal(digestOf(result.state), expected, `seed ${seed}`);
            assert.deepEqual(
              [result.ledger.dropped, result.ledger.duplicated, result.ledger.counted],
              [0, 0, result.ledger.expected],
              `seed ${seed}`,
            );
          }
        },
      );
    }

    test('put out a replica that missed an update, in the next step that it has a part in', () => {
      for (let seed = 1; seed <= seeds; seed++) {
        let missed = -1;
        const cluster: SimulatedCluster = new SimulatedCluster({
          seed,
          workers: 3,
          steps: STEPS,
          isDisturbed: false,
          auditRate: 0.1,
          wrapEngine: (create, handlers) => {
            const engine = create(handlers);
            const apply = engine.apply.bind(engine);
            engine.apply = (commit, totals, done) => {
              if (missed !== -1 || commit.step !== seed % 7) return apply(commit, totals, done);
              missed = commit.step;
              engine.digest(() => done([]));
            };
            return engine;
          },
        });
        const { result, events } = cluster.run();
        const put = events.filter((event) => event.kind === 'worker-distrusted');
        const before = events.filter(
          (event) => event.kind === 'step' && event.step - 1 > missed && event.step <= put[0]!.step,
        );

        assert.equal(put.length, 1, `seed ${seed}`);
        assert.ok(put[0]!.step > missed, `seed ${seed}`);
        for (const event of before) {
          const ranks = event.kind === 'step' ? event.ranks : [];
          const part = ranks.find(({ rank }) => rank === put[0]!.rank)?.microBatches ?? 0;
          assert.equal(part, 0, `seed ${seed}`);
        }
        assert.equal(digestOf(result.state), expected, `seed ${seed}`);
      }
    });

    test('accuse nobody and change nothing in histories of faults with honest workers', () => {
      for (let seed = 1; seed <= honest; seed++) {
        checkHistory(seed, expected, { auditRate: 0.5 });
      }
    });

    test(
      'never accuse an honest worker in histories of faults with a liar, nor end with a state ' +
        'that it touched and was caught at',
      () => {
        let caught = 0;
        for (let seed = 1; seed <= lying; seed++) {
          const cluster = new SimulatedCluster({
            seed,
            workers: 4,
            steps: STEPS,
            isDisturbed: true,
            auditRate: 0.5,
            liar: liarFrom(seed % 5, 'worker-1', LIES['off by one bit in one place']!),
          });
          let digest: string | undefined;
          try {
            digest = digestOf(cluster.run().result.state);
          } catch (error) {
            // With others gone there may be nobody left to tell who is right: then the run says so.
            assert.ok(
              error instanceof LockstepError && /no other worker is there/.test(messageOf(error)),
              `seed ${seed}: ${messageOf(error)}`,
            );
          }
          const named = cluster.events.flatMap((event) =>
            event.kind === 'worker-distrusted' ? [event.workerId] : [],
          );
          const hasErred = (workerId: string): boolean =>
            workerId === 'worker-1' ||
            cluster.faults.some((fault) => fault.includes(`${workerId} computes what is not`));
          assert.ok(named.every(hasErred), `seed ${seed}: ${named.join(' ')}`);
          if (!named.includes('worker-1')) continue;
          caught++;
          assert.equal(digest, expected, `seed ${seed}: ${cluster.faults.join('; ')}`);
        }
        // In the others it was killed, or alone, before anybody looked.
        assert.ok(caught > lying / 2, `caught ${caught} of ${lying}`);
      },
    );

    test('end the run with a clear error when two workers disagree and there is no third', () => {
      const cluster = new SimulatedCluster({
        seed: 1,
        workers: 2,
        steps: STEPS,
        isDisturbed: false,
        auditRate: 0.25,
        liar: liarFrom(0, 'worker-1', LIES['half as large']!),
      });

      assert.throws(
        () => cluster.run(),
        /ranks 0 and 1 compute different gradients|ranks 1 and 0 compute different gradients/,
      );
    });

    test('without them the lie ends up in the model', () => {
      const cluster = new SimulatedCluster({
        seed: 1,
        workers: 3,
        steps: STEPS,
        isDisturbed: false,
        liar: liarFrom(0, 'worker-1', LIES['off by one bit in one place']!),
      });

      assert.notEqual(digestOf(cluster.run().result.state), expected);
    });
  });
}
