/** Workers that add up sums among themselves, as real processes; more in test/long. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { aim } from './aim.ts';
import { assertSumsWentPast, assertWentOn, startGroupedRun } from './grouped-runs.ts';
import { SHORT, testSeed } from './runs.ts';

describe('a group of workers', () => {
  for (const [body, count] of [
    ['ring', 3],
    ['shm', 2],
  ] as const)
    test(`of ${count} makes the model of one worker by ${body}, past the coordinator`, async (t) => {
      const { run } = await startGroupedRun(t, SHORT, body, count);

      assertSumsWentPast(await assertWentOn(t, run, SHORT));
    });

  test('goes on when one of three is killed', async (t) => {
    const { rank, step } = aim(testSeed(t), 50);
    const { run, workers } = await startGroupedRun(t, SHORT, 'ring');

    await run.reachesStep(step);
    process.kill(workers.get(rank)!, 'SIGKILL');
    const { summary } = await assertWentOn(t, run, SHORT);

    assert.equal(summary.events.workersLost, 1);
    assert.equal(run.eventsOf('worker-lost')[0]!.rank, rank);
  });
});
