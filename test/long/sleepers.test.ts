/** Machines whose lid is closed: a run whose processes sleep for longer than any silence may last. */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { aim } from '../cluster/aim.ts';
import { freeze } from '../cluster/processes.ts';
import {
  assertSameModel,
  PROMISE,
  referenceOf,
  type Run,
  startRun,
  testSeed,
} from '../cluster/runs.ts';

/** Longer than a silent worker is kept, and than workers once waited for an echo. */
const SLEEP_MS = 14_000;

/** A run of three workers of which `sleepers` are frozen for a while at a random step. */
async function runWithSleep(
  t: TestContext,
  sleepers: (run: Run, workers: ReadonlyMap<number, number>) => readonly number[],
): Promise<void> {
  const reference = await referenceOf(t, PROMISE);
  const { step } = aim(testSeed(t), 90);
  const run = startRun(t, [...PROMISE, '--workers', '3']);
  const workers = await run.workerIds(3);

  await run.reachesStep(step);
  const thaws = sleepers(run, workers).map((pid) => freeze(t, pid));
  await setTimeout(SLEEP_MS);
  for (const thaw of thaws) thaw();
  const outcome = await run.outcome();

  assertSameModel(outcome, reference);
  const { workersLost, workersJoined, rollbacks } = outcome.summary.events;
  assert.deepEqual([workersLost, workersJoined, rollbacks], [0, 3, 0]);
}

describe('a run that sleeps for 14 seconds', () => {
  test('loses nobody when its coordinator does', async (t) => {
    await runWithSleep(t, (run) => [run.program.pid]);
  });

  test('loses nobody when all its processes do', async (t) => {
    await runWithSleep(t, (run, workers) => [run.program.pid, ...workers.values()]);
  });
});
