/** What must hold of workers that add up sums among themselves, however they are disturbed. */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import type { BodyName } from '../../src/collectives/body-names.ts';
import { aim } from './aim.ts';
import {
  assertSumsWentPast,
  assertWentOn,
  groupOf,
  startGroupedRun,
  tellRecovery,
} from './grouped-runs.ts';
import { freeze } from './processes.ts';
import { lasting, PROMISE, SHORT, startRun, startWorker, testSeed } from './runs.ts';

/** Several times what a worker takes to start. */
const JOIN_MS = 9_000;
const FROZEN_MS = 3_000;
/** 3.7 million parameters; workers are not granted steps that take so long. */
const LARGE: readonly string[] = [...PROMISE, '--hidden', '2048,1024', '--steps', '24'];

/** So that a step of it takes a tenth of a second and more, however fast the machine is. */
const SLOWED: readonly string[] = ['--throttle', '4'];

/** Kills a worker of three in the middle of a step from `step` on; the others go on without it. */
async function killOne(
  t: TestContext,
  args: readonly string[],
  body: BodyName,
  { rank, step }: { readonly rank: number; readonly step: number },
  slowed: readonly string[] = [],
): Promise<void> {
  const { run, workers } = await startGroupedRun(t, [...args, ...slowed], body);

  await run.reachesStep(step);
  const killedMs = Date.now();
  process.kill(workers.get(rank)!, 'SIGKILL');
  const { summary } = await assertWentOn(t, run, args);

  assert.equal(summary.events.workersLost, 1);
  assert.equal(run.eventsOf('worker-lost')[0]!.rank, rank);
  tellRecovery(t, run, `${body}, rank ${rank} killed after step ${step}`, killedMs);
}

/** Tests groups that add up by `body`, in runs of some seconds each. */
export function testGroups(body: BodyName): void {
  describe(`a group that adds up by ${body}`, () => {
    for (const count of [2, 3, 4])
      test(`makes the model of one worker, with ${count} workers`, async (t) => {
        const { run } = await startGroupedRun(t, SHORT, body, count);

        const outcome = await assertWentOn(t, run, SHORT);

        assertSumsWentPast(outcome);
        assert.equal(outcome.summary.workers.length, count);
        assert.deepEqual(
          run.eventsOf('collective-chosen').map(({ collective }) => collective),
          [body],
        );
      });

    for (const from of [1, 20, 40, 60])
      test(`goes on when one of three is killed after step ${from}`, async (t) => {
        const { rank, step } = aim(testSeed(t), 20);
        await killOne(t, SHORT, body, { rank, step: from + step - 10 });
      });

    test('goes on when one of three is killed in a long step', async (t) => {
      await killOne(t, LARGE, body, aim(testSeed(t), 8), SLOWED);
    });

    test('goes on when one of three is killed while it is formed', async (t) => {
      const { rank } = aim(testSeed(t), 1);
      const run = startRun(t, [...SHORT, '--workers', '3', '--collective', body]);
      const workers = await run.workerIds(3);

      process.kill(workers.get(rank)!, 'SIGKILL');
      const { summary } = await assertWentOn(t, run, SHORT);

      assert.equal(summary.events.workersLost, 1);
    });

    test('goes on when one of three is killed as an evaluation begins', async (t) => {
      const { rank } = aim(testSeed(t), 1);
      await killOne(t, [...SHORT, '--eval-every', '40'], body, { rank, step: 40 });
    });

    test('is formed again by all when one that was killed is back', async (t) => {
      const args = await lasting(t, JOIN_MS);
      const { rank, step } = aim(testSeed(t), 50);
      const { run, workers } = await startGroupedRun(t, args, body);

      await run.reachesStep(step);
      process.kill(workers.get(rank)!, 'SIGKILL');
      await groupOf(run, body, 2, step);
      await groupOf(run, body, 3, step);

      const { summary } = await assertWentOn(t, run, args);
      assert.equal(summary.events.workersLost, 1);
    });

    test('goes on without one that freezes, and with it when it is back', async (t) => {
      const args = await lasting(t, JOIN_MS);
      const { rank, step } = aim(testSeed(t), 50);
      const { run, workers } = await startGroupedRun(t, args, body);

      await run.reachesStep(step);
      const frozenMs = Date.now();
      const thaw = freeze(t, workers.get(rank)!);
      const stalled = await run.event('worker-stalled');
      await groupOf(run, body, 2, step);
      await new Promise((later) => setTimeout(later, FROZEN_MS - (Date.now() - frozenMs)));
      thaw();
      await groupOf(run, body, 3, stalled.step);
      const { summary } = await assertWentOn(t, run, args);

      assert.equal(stalled.rank, rank);
      assert.deepEqual([summary.events.workersStalled, summary.events.workersLost], [1, 0]);
      tellRecovery(t, run, `${body}, rank ${rank} frozen after step ${step}`, frozenMs);
    });

    test('takes in a worker that comes later', async (t) => {
      const args = await lasting(t, JOIN_MS);
      const run = startRun(t, [...args, '--workers', '2', '--collective', body]);
      await groupOf(run, body, 2);

      const third = await startWorker(t, run);
      const step = await groupOf(run, body, 3);
      await assertWentOn(t, run, args);

      assert.equal((await third.end()).status, 0);
      t.diagnostic(`${body}: a group of all three from step ${step} on`);
    });
  });
}
