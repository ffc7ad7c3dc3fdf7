/** Telemetry watches and never decides: a run that nobody reports on gives the same work out. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Reporter } from '../../src/coordinator/reporter.ts';
import type { ToWorker } from '../../src/protocol/messages.ts';
import { STEPS } from './check-history.ts';
import { SimulatedCluster } from './simulated-cluster.ts';
import { digestOf } from './simulated-engine.ts';

const WORK: ReadonlySet<string> = new Set<ToWorker['kind']>([
  'plan',
  'grant',
  'lease',
  'release',
  'audit',
]);

const SILENT: Reporter = {
  event: () => {},
  joined: () => {},
  rejected: () => {},
  norms: () => {},
  goesOn: () => {},
  waiting: () => {},
  tick: () => {},
};

/** All that the coordinator asks of workers in history `seed`, in order, and how it ends. */
function workOf(seed: number, reporter?: Reporter): { work: readonly string[]; digest: string } {
  const work: string[] = [];
  const cluster = new SimulatedCluster({
    seed,
    workers: 1 + (seed % 4),
    steps: STEPS,
    isDisturbed: true,
    auditRate: seed % 2 === 0 ? 0.5 : 0,
    ...(reporter !== undefined && { reporter }),
    onSentToWorker: (name, message) => {
      if (WORK.has(message.kind)) work.push(`${name} ${JSON.stringify(message)}`);
    },
  });
  const digest = digestOf(cluster.run().result.state);
  assert.equal(cluster.events.length > 0, reporter === undefined);
  return { work, digest };
}

export function testSilentReporter(histories: number): void {
  describe('a run with a reporter that does nothing', () => {
    test('gives the same leases to the same workers in the same order, in every history', () => {
      let moved = 0;
      for (let seed = 1; seed <= histories; seed++) {
        const reported = workOf(seed);

        assert.deepEqual(workOf(seed, SILENT), reported, `seed ${seed}`);

        // A worker that is alone is granted several steps at once.
        assert.ok(reported.work.length > STEPS / 2, `seed ${seed}`);
        if (reported.work.some((line) => line.includes('"kind":"release"'))) moved++;
      }
      // Or the speeds of workers would not matter in these histories.
      assert.ok(moved > histories / 4, `leases moved in ${moved} of ${histories}`);
    });
  });
}
