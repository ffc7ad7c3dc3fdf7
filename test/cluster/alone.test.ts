/** A worker that is alone, and commits by itself: it freezes, and is waited for or not. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { aim } from './aim.ts';
import { freeze } from './processes.ts';
import { assertSameModel, referenceOf, SHORT, startRun, startWorker, testSeed } from './runs.ts';

describe('a worker that is alone and freezes', () => {
  test('goes on where it was when nobody else came meanwhile', async (t) => {
    const reference = await referenceOf(t, SHORT);
    const { step } = aim(testSeed(t), 90);
    const run = startRun(t, [...SHORT, '--workers', '1']);
    const [pid] = [...(await run.workerIds(1)).values()];

    await run.reachesStep(step);
    const thaw = freeze(t, pid!);
    await run.event('worker-stalled');
    thaw();
    const outcome = await run.outcome();

    assertSameModel(outcome, reference);
    const { workersStalled, workersLost, rollbacks } = outcome.summary.events;
    assert.deepEqual([workersStalled, workersLost, rollbacks], [1, 0, 0]);
  });

  test('is not waited for when another comes, and gets the state when it is back', async (t) => {
    const reference = await referenceOf(t, SHORT);
    const { step } = aim(testSeed(t), 90);
    const run = startRun(t, [...SHORT, '--workers', '1'], 'coordinator');
    const first = await startWorker(t, run);

    await run.reachesStep(step);
    const thaw = freeze(t, first.pid);
    await run.event('worker-stalled');
    await startWorker(t, run);
    await run.event('rolled-back');
    thaw();
    const outcome = await run.outcome();

    assertSameModel(outcome, reference);
    assert.deepEqual(
      [outcome.summary.events.workersLost, outcome.summary.events.rollbacks],
      [0, 1],
    );
    assert.equal((await first.end()).status, 0);
  });
});
