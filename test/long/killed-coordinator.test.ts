/** More of this, with many more kills: `npm run bench -- killed-coordinators`. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { runKilled } from '../cluster/killed-coordinator.ts';
import { startLockstep } from '../cluster/processes.ts';
import { assertSameModel, referenceOf, Run, SHORT, startRun, testSeed } from '../cluster/runs.ts';

/** On a machine that does nothing else it takes less than three seconds. */
const AWAY_MS = 20_000;

describe('a coordinator that is killed at random moments, and started again', () => {
  test('goes on from what its workers have: no step is lost, and the model is the same', async (t) => {
    const { kills } = await runKilled(t, testSeed(t), { workers: 3, kills: 2 });

    assert.ok(kills.length > 0);
    for (const { recordedStep, resumedAtStep, workersWithState, awayMs } of kills) {
      t.diagnostic(`went on at step ${resumedAtStep}, after ${awayMs} ms`);
      assert.ok(
        resumedAtStep >= recordedStep,
        `${recordedStep} was recorded, ${resumedAtStep} is there`,
      );
      assert.ok(workersWithState > 0);
      assert.ok(awayMs < AWAY_MS, `it took ${awayMs} ms`);
    }
  });
});

describe('lockstep train that is killed', () => {
  test('goes on by --resume with the workers that it had started, and what they have', async (t) => {
    const reference = await referenceOf(t, SHORT);
    const run = startRun(t, [...SHORT, '--workers', '2', '--lanes', '1']);
    const before = await run.workerIds(2);
    await run.reachesStep(60);
    run.program.signal('SIGKILL');
    await run.program.end();
    const recordedStep = run.eventsOf('step').at(-1)!.step;

    const command = ['train', '--resume', run.folder, '--lanes', '1', '--json'];
    const outcome = await new Run(startLockstep(t, command), run.folder).outcome();

    assertSameModel(outcome, reference);
    assert.ok(outcome.summary.resumedAtStep! >= recordedStep);
    const processes = new Set(run.eventsOf('worker-joined').map(({ processId }) => processId));
    assert.deepEqual(processes, new Set(before.values()));
  });
});
