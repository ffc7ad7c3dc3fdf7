/** What is random on more lanes, on more workers, and when one of them is killed. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CNN } from '../cluster/shared-runs.ts';
import { assertSameModel, referenceOf, startRun, testSeed } from '../cluster/runs.ts';

describe('a run with running statistics, dropout and augmentation', () => {
  for (const [workers, lanes] of [
    [1, 2],
    [3, 1],
  ] as const)
    test(`ends with the same model on ${workers} workers of ${lanes} lanes`, async (t) => {
      const reference = await referenceOf(t, CNN);

      const run = startRun(t, [...CNN, '--workers', String(workers), '--lanes', String(lanes)]);

      assertSameModel(await run.outcome(), reference);
    });

  test('ends with the same model when a worker is killed', async (t) => {
    const reference = await referenceOf(t, CNN);
    const seed = testSeed(t);
    const run = startRun(t, [...CNN, '--workers', '3', '--lanes', '1']);
    const workers = await run.workerIds(3);

    await run.reachesStep(5 + (seed % 40));
    process.kill(workers.get(seed % 3)!, 'SIGKILL');
    const outcome = await run.outcome();

    assertSameModel(outcome, reference);
    assert.equal(outcome.summary.events.workersLost, 1);
  });
});
