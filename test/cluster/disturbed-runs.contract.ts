/** What must hold of the promised run however it is computed: short, and in the long tests whole. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { aim, samplesAfter } from './aim.ts';
import { freeze } from './processes.ts';
import { assertSameModel, referenceOf, startRun, testSeed } from './runs.ts';

/** Tests the run `args`, hit at a step from 10 on, `within` so many steps. */
export function testDisturbedRuns(
  args: readonly string[],
  within: { readonly kill: number; readonly freeze: number },
): void {
  describe('a run that is killed at, frozen, audited, or done by lanes', () => {
    test('ends with the same model when one is killed', async (t) => {
      const reference = await referenceOf(t, args);
      const { rank, step } = aim(testSeed(t), within.kill);
      const run = startRun(t, [...args, '--workers', '3']);
      const workers = await run.workerIds(3);

      await run.reachesStep(step);
      process.kill(workers.get(rank)!, 'SIGKILL');
      const outcome = await run.outcome();

      assertSameModel(outcome, reference);
      assert.equal(outcome.summary.events.workersLost, 1);
      const [lost] = run.eventsOf('worker-lost');
      assert.equal(lost!.rank, rank);
      assert.ok(lost!.step >= step, `lost at step ${lost!.step}, killed after step ${step}`);
      // It is started again, and may be in the run before that is over.
      const back = run.eventsOf('worker-joined').find((event) => event.step > lost!.step);
      assert.equal(samplesAfter(run, rank, lost!.step + 1, back?.step), 0);
    });

    test('takes one back that froze for a moment', async (t) => {
      const reference = await referenceOf(t, args);
      const { rank, step } = aim(testSeed(t), within.freeze);
      const run = startRun(t, [...args, '--workers', '3']);
      const workers = await run.workerIds(3);

      await run.reachesStep(step);
      const thaw = freeze(t, workers.get(rank)!);
      const stalled = await run.event('worker-stalled');
      thaw();
      const outcome = await run.outcome();

      assertSameModel(outcome, reference);
      assert.equal(stalled.rank, rank);
      assert.equal(outcome.summary.events.workersLost, 0);
      assert.ok(samplesAfter(run, rank, stalled.step + 1) > 0, 'it contributed again');
    });

    test('ends with the same model on two lanes of one worker', async (t) => {
      const reference = await referenceOf(t, args);

      const lanes = [...args, '--workers', '1', '--lanes', '2'];
      const outcome = await startRun(t, lanes).outcome();

      assertSameModel(outcome, reference);
      assert.equal(outcome.summary.workers[0]!.lanes, 2);
    });

    test('ends with the same model when steps are audited, and says how much', async (t) => {
      const reference = await referenceOf(t, args);

      const run = startRun(t, [...args, '--workers', '3', '--audit', '0.2']);
      const outcome = await run.outcome();

      assertSameModel(outcome, reference);
      const { summary } = outcome;
      const { microBatchesAudited, events } = summary;
      assert.ok(microBatchesAudited! > summary.steps / 5, `audited ${microBatchesAudited}`);
      assert.equal(events.workersDistrusted, 0);
      assert.match(
        run.program.stderr,
        /audits +[\d,]+ computed twice and compared, 0 workers put out/,
      );
    });
  });
}
