import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { aim, samplesAfter } from './aim.ts';
import { freeze } from './processes.ts';
import { assertSameModel, PROMISE, referenceOf, SHORT, startRun, testSeed } from './runs.ts';

describe('a run of three workers', () => {
  test('ends with the same model when one is killed', async (t) => {
    const reference = await referenceOf(t, SHORT);
    const { rank, step } = aim(testSeed(t), 50);
    const run = startRun(t, [...SHORT, '--workers', '3']);
    const workers = await run.workerIds(3);

    await run.reachesStep(step);
    process.kill(workers.get(rank)!, 'SIGKILL');
    const outcome = await run.outcome();

    assertSameModel(outcome, reference);
    assert.equal(outcome.summary.events.workersLost, 1);
    const [lost] = run.eventsOf('worker-lost');
    assert.equal(lost!.rank, rank);
    assert.ok(lost!.step >= step, `lost at step ${lost!.step}, killed after step ${step}`);
    assert.equal(samplesAfter(run, rank, lost!.step + 1), 0);
  });

  test('takes one back that froze for a moment', async (t) => {
    const reference = await referenceOf(t, SHORT);
    const { rank, step } = aim(testSeed(t), 40);
    const run = startRun(t, [...SHORT, '--workers', '3']);
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
});

describe('a run that all its workers leave', () => {
  test('fails, saying what may have killed them, when nobody else is in it', async (t) => {
    const run = startRun(t, [...PROMISE, '--workers', '2']);
    const workers = await run.workerIds(2);

    await run.reachesStep(5);
    for (const pid of workers.values()) process.kill(pid, 'SIGKILL');
    const { status } = await run.program.end();

    assert.equal(status, 1);
    assert.equal(run.program.stdout, '');
    const says =
      '\nerror: all 2 local workers have ended, and no other is in the run; killed with SIGKILL: ' +
      'rank [01], [01]\\. If memory ran out, lower ';
    assert.match(run.program.stderr, new RegExp(says));
    const { status: recorded, reason, steps, ledger } = run.summary();
    assert.equal(recorded, 'failed');
    assert.match(reason!, /^all 2 local workers have ended/);
    assert.ok(steps >= 5);
    assert.equal(ledger.counted, ledger.expected);
  });
});
