/** Two machines with two workers each: sums are added up on each, and then between the two. */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { assertSumsWentPast, groupOf, tellRecovery } from '../cluster/grouped-runs.ts';
import { startLockstep } from '../cluster/processes.ts';
import { assertSameModel, type Outcome, referenceOf, type Run } from '../cluster/runs.ts';
import { named, reasonToSkip, withNetwork } from './network.ts';

const END_MS = 120_000;
const ARGS = [
  ...['--hidden', '64', '--seed', '7', '--eval-every', 'never', '--steps', '600'],
  '--keep-slow-links',
];
/** Several times what a group takes to be formed again. */
const SOON_MS = 15_000;

/** A run of four workers on two machines, which ends as if nothing had been. */
async function runOnTwo(
  t: TestContext,
  use: (run: Run, workers: ReadonlyMap<number, number>) => Promise<void>,
): Promise<Outcome> {
  await startLockstep(t, ['--version']).end();
  const reference = await referenceOf(t, ARGS);
  return withNetwork(async (network) => {
    const run = await network.coordinate([...ARGS, '--workers', '4']);
    for (const machine of ['machine-a', 'machine-b']) {
      const host = network.addHost(undefined);
      for (let i = 0; i < 2; i++) network.joinAt(host, named(machine));
    }
    const workers = await run.workerIds(4);
    await groupOf(run, 'hosts', 4);
    await use(run, workers);
    await run.program.end(END_MS);
    const outcome = await run.outcome(END_MS);
    assertSameModel(outcome, reference);
    assert.deepEqual(run.eventsOf('rolled-back'), []);
    return outcome;
  });
}

/** Kills the first or the second worker of a machine in the middle; the others go on at once. */
async function killOne(t: TestContext, second: boolean): Promise<void> {
  await runOnTwo(t, async (run, workers) => {
    await run.reachesStep(100);
    const [chosen] = run.eventsOf('collective-chosen').filter((e) => e.collective === 'hosts');
    const rank = chosen!.ranks[second ? 1 : 0]!;
    const killedMs = Date.now();
    process.kill(workers.get(rank)!, 'SIGKILL');
    // One machine has a single worker now, and the other still has two.
    const step = await groupOf(run, 'hosts', 3, 100);
    assert.ok(Date.now() - killedMs < SOON_MS, `${Date.now() - killedMs} ms`);
    await run.reachesStep(step + 20);
    assert.equal(run.eventsOf('worker-lost')[0]!.rank, rank);
    tellRecovery(t, run, `rank ${rank} killed`, killedMs);
  });
}

describe('a run on two machines of two workers each', { skip: reasonToSkip() }, () => {
  test('makes the model of one worker, and no sum goes through the coordinator', async (t) => {
    const outcome = await runOnTwo(t, async () => {});

    assertSumsWentPast(outcome);
  });

  test('goes on when a worker that is connected to the other machine is killed', async (t) => {
    await killOne(t, false);
  });

  test('goes on when one that is not is killed', async (t) => {
    await killOne(t, true);
  });
});
