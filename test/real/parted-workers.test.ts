/** Workers that reach the coordinator and not each other: their sums go through it. */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { groupOf, tellRecovery } from '../cluster/grouped-runs.ts';
import { startLockstep } from '../cluster/processes.ts';
import { assertSameModel, referenceOf, type Run } from '../cluster/runs.ts';
import { type Network, reasonToSkip, troublesOf, withNetwork } from './network.ts';

const END_MS = 120_000;
/** A worker that dials another, and gets no answer, does not end before it has given up. */
const DIAL_MS = 10_000;
const ARGS = ['--hidden', '64', '--seed', '7', '--eval-every', 'never'];
/** As many as take far longer than dialling, or finding that a link is dead. */
const LONG = [...ARGS, '--steps', '3000'];

/** A run of workers on hosts of their own, which ends as if nothing had been. */
async function runOn(
  t: TestContext,
  { workers, args }: { readonly workers: number; readonly args: readonly string[] },
  use: (run: Run, network: Network) => Promise<void>,
): Promise<void> {
  const reference = await referenceOf(t, args);
  await withNetwork(async (network) => {
    const run = await network.coordinate([
      ...[...args, '--workers', String(workers), '--collective', 'ring'],
    ]);
    await use(run, network);
    await run.program.end(END_MS);
    await run.assertNothingLeft(DIAL_MS);
    assertSameModel(await run.outcome(END_MS), reference);
    // Whoever waits for one that it does not reach gets no further: that may be found first.
    assert.deepEqual(
      troublesOf(run).filter(({ kind }) => kind !== 'worker-stalled'),
      [],
    );
    const blamed = run
      .eventsOf('collective-chosen')
      .filter(({ collective }) => collective === 'star');
    assert.deepEqual(
      blamed.map(({ collective }) => collective),
      ['star'],
      'it says once that sums go through the coordinator',
    );
    t.diagnostic(blamed[0]!.reason!);
    assert.equal(
      run.program.stderr.match(/sums of gradients go through the coordinator/g)?.length,
      1,
    );
  });
}

describe('a run of workers that do not reach each other', { skip: reasonToSkip() }, () => {
  test('ends through the coordinator when that was so from the start', async (t) => {
    await startLockstep(t, ['--version']).end();
    await runOn(t, { workers: 2, args: LONG }, async (_, network) => {
      for (const worker of [network.join(undefined), network.join(undefined)]) worker.part();
    });
  });

  test('ends through the coordinator when it becomes so in the middle of a group', async (t) => {
    await runOn(t, { workers: 3, args: LONG }, async (run, network) => {
      const workers = [0, 1, 2].map(() => network.join(undefined));
      await groupOf(run, 'ring', 3);
      await run.reachesStep(100);
      const partedMs = Date.now();
      workers[0]!.part();
      workers[1]!.part();
      const { step } = await run.event(
        'collective-chosen',
        ({ collective }) => collective === 'star',
      );
      await run.reachesStep(step + 20);
      tellRecovery(t, run, 'parted', partedMs);
    });
  });
});
