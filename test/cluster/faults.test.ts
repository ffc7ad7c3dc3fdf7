import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { assertGone, freeze } from './processes.ts';
import {
  assertSameModel,
  lasting,
  PROMISE,
  referenceOf,
  type Run,
  startRun,
  startWorker,
  testSeed,
} from './runs.ts';

/** A worker that froze is given up after 5 s, and takes about one to come back. */
const COMEBACK_MS = 9_000;

/** Samples that `rank` computed for steps after `step`. */
function samplesAfter(run: Run, rank: number, step: number): number {
  const later = run.eventsOf('step').filter((event) => event.step > step);
  return later.reduce(
    (sum, { ranks }) => sum + (ranks.find((each) => each.rank === rank)?.samples ?? 0),
    0,
  );
}

/** A rank of three and a step to hit it at. */
function aim(seed: number, steps: number): { rank: number; step: number } {
  return { rank: seed % 3, step: 10 + (Math.floor(seed / 3) % steps) };
}

describe('a run of three workers', () => {
  test('ends with the same model when one is killed', async (t) => {
    const reference = await referenceOf(t, PROMISE);
    const { rank, step } = aim(testSeed(t), 90);
    const run = startRun(t, [...PROMISE, '--workers', '3']);
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

  test('ends with the same model, and nothing left, when one freezes for good', async (t) => {
    const reference = await referenceOf(t, PROMISE);
    const { rank, step } = aim(testSeed(t), 90);
    const run = startRun(t, [...PROMISE, '--workers', '3']);
    const workers = await run.workerIds(3);

    await run.reachesStep(step);
    freeze(t, workers.get(rank)!);
    const outcome = await run.outcome();

    assertSameModel(outcome, reference);
    assert.equal(outcome.summary.events.workersStalled, 1);
    assert.equal(run.eventsOf('worker-stalled')[0]!.rank, rank);
    assert.ok(outcome.summary.events.microBatchesReissued > 0);
    await assertGone([workers.get(rank)!]);
  });

  test('takes one back that froze for a moment', async (t) => {
    const reference = await referenceOf(t, PROMISE);
    const { rank, step } = aim(testSeed(t), 60);
    const run = startRun(t, [...PROMISE, '--workers', '3']);
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

  test('takes one back that joins again after it was given up', async (t) => {
    const long = await lasting(t, COMEBACK_MS);
    const reference = await referenceOf(t, long);
    const { rank, step } = aim(testSeed(t), 60);
    const run = startRun(t, [...long, '--workers', '3']);
    const workers = await run.workerIds(3);

    await run.reachesStep(step);
    const thaw = freeze(t, workers.get(rank)!);
    const lost = await run.event('worker-lost');
    thaw();
    const back = await run.event('worker-joined', (event) => event.step > step);
    const outcome = await run.outcome();

    assertSameModel(outcome, reference);
    assert.deepEqual([lost.rank, lost.workerId], [rank, back.workerId]);
    assert.equal(outcome.summary.events.workersLost, 1);
    assert.equal(outcome.summary.events.workersJoined, 4);
    assert.ok(samplesAfter(run, back.rank, back.step) > 0, 'it contributed again');
  });
});

describe('a run that all its workers leave', () => {
  test('goes on with one that was started by hand before', async (t) => {
    const long = await lasting(t, COMEBACK_MS);
    const reference = await referenceOf(t, long);
    const run = startRun(t, [...long, '--workers', '2']);
    const workers = await run.workerIds(2);
    const third = await startWorker(t, run);

    await run.event('worker-joined', ({ processId }) => processId === third.pid);
    for (const pid of workers.values()) process.kill(pid, 'SIGKILL');
    const outcome = await run.outcome();

    assertSameModel(outcome, reference);
    assert.equal(outcome.summary.events.workersLost, 2);
    assert.equal((await third.end()).status, 0);
  });

  test('waits, and goes on from its last snapshot with one that is started by hand then', async (t) => {
    const reference = await referenceOf(t, PROMISE);
    const { step } = aim(testSeed(t), 90);
    const run = startRun(t, [...PROMISE, '--workers', '2'], 'coordinator');
    const first = [await startWorker(t, run), await startWorker(t, run)];
    await run.workerIds(2);

    await run.reachesStep(step);
    for (const worker of first) worker.signal('SIGKILL');
    await run.event('run-waiting');
    const third = await startWorker(t, run);
    const outcome = await run.outcome();

    assertSameModel(outcome, reference);
    const { workersLost, workersJoined, rollbacks } = outcome.summary.events;
    assert.deepEqual([workersLost, workersJoined, rollbacks], [2, 3, 1]);
    assert.equal((await third.end()).status, 0);
  });

  test('fails, saying what may have killed them, when they were its own and nobody else is in it', async (t) => {
    const run = startRun(t, [...PROMISE, '--workers', '2']);
    const workers = await run.workerIds(2);

    await run.reachesStep(5);
    for (const pid of workers.values()) process.kill(pid, 'SIGKILL');
    const { status } = await run.program.end();

    assert.equal(status, 1);
    assert.equal(run.program.stdout, '');
    assert.match(
      run.program.stderr,
      /\nerror: all 2 local workers have ended, and no other is in the run; killed with SIGKILL: rank [01], [01]\. If memory ran out, lower /,
    );
    const { status: recorded, reason, steps, ledger } = run.summary();
    assert.equal(recorded, 'failed');
    assert.match(reason!, /^all 2 local workers have ended/);
    assert.ok(steps >= 5);
    assert.equal(ledger.counted, ledger.expected);
  });
});
