/** A run that loses workers and gets them back, in ways that take seconds each. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { aim } from '../cluster/aim.ts';
import { assertGone, freeze, isAlive, waitFor } from '../cluster/processes.ts';
import {
  assertSameModel,
  lasting,
  PROMISE,
  referenceOf,
  type Run,
  startRun,
  startWorker,
  testSeed,
} from '../cluster/runs.ts';

/** Several times what a worker takes to start. */
const JOIN_MS = 9_000;

/** Kills workers of a rank that have joined since the last call; gives all that were killed. */
function killNew(run: Run, wanted: number, killed: Set<number>): ReadonlySet<number> {
  for (const { rank, processId } of run.eventsOf('worker-joined')) {
    if (rank !== wanted || killed.has(processId)) continue;
    killed.add(processId);
    if (isAlive(processId)) process.kill(processId, 'SIGKILL');
  }
  return killed;
}

describe('a run of which workers come and go', () => {
  test('goes on when one dies again and again, and starts it later each time', async (t) => {
    const long = await lasting(t, JOIN_MS);
    const reference = await referenceOf(t, long);
    const run = startRun(t, [...long, '--workers', '2', '--lanes', '1']);
    const killed = new Set<number>();

    await run.program.during('three deaths', () => killNew(run, 1, killed).size === 3);
    const outcome = await run.outcome();

    assertSameModel(outcome, reference);
    const restarts = run.eventsOf('worker-restarting');
    assert.deepEqual(
      restarts.map(({ rank, deaths, pauseMs }) => [rank, deaths, pauseMs]),
      [
        [1, 1, 250],
        [1, 2, 500],
        [1, 3, 1_000],
      ],
    );
    const steps = restarts.map(({ step }) => step);
    assert.ok(steps[0]! < steps[1]! && steps[1]! < steps[2]!, `the other goes on: ${steps.join()}`);
    assert.deepEqual([...new Set(run.eventsOf('worker-lost').map(({ rank }) => rank))], [1]);
  });

  test('ends with the same model when nine join, and leave as soon as they are in', async (t) => {
    const long = await lasting(t, JOIN_MS);
    const reference = await referenceOf(t, long);
    const run = startRun(t, [...long, '--workers', '1', '--lanes', '1']);
    const signals = ['SIGINT', 'SIGTERM', 'SIGKILL'] as const;

    const guests = await Promise.all(
      Array.from({ length: 9 }, async (_, index) => {
        const worker = await startWorker(t, run);
        const { rank } = await run.event(
          'worker-joined',
          ({ processId }) => processId === worker.pid,
        );
        const signal = signals[index % 3]!;
        worker.signal(signal);
        const { status } = await worker.end();
        return { rank, isKilled: signal === 'SIGKILL', status };
      }),
    );
    const outcome = await run.outcome();

    assertSameModel(outcome, reference);
    const { workersJoined, workersLost, rollbacks } = outcome.summary.events;
    assert.deepEqual([workersJoined, workersLost, rollbacks], [10, 9, 0]);
    for (const { isKilled, status } of guests) assert.equal(status, isKilled ? null : 130);
    const left = run
      .eventsOf('worker-lost')
      .filter(({ reason }) => reason === 'the worker was interrupted');
    assert.equal(left.length, 6, 'who leaves in order says so');
    assert.deepEqual(run.eventsOf('worker-stalled'), []);
  });
});

describe('a run of three workers', () => {
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
    await assertGone([workers.get(rank)!]);
  });
});

describe('a run that all its workers leave', () => {
  test('goes on when they thaw that were given up, and join again', async (t) => {
    const reference = await referenceOf(t, PROMISE);
    const { step } = aim(testSeed(t), 60);
    const run = startRun(t, [...PROMISE, '--workers', '2']);
    const workers = await run.workerIds(2);

    await run.reachesStep(step);
    const thaws = [...workers.values()].map((pid) => freeze(t, pid));
    await waitFor('two losses', () => run.eventsOf('worker-lost').length === 2);
    for (const thaw of thaws) thaw();
    const outcome = await run.outcome();

    assertSameModel(outcome, reference);
    const { workersStalled, workersLost, workersJoined } = outcome.summary.events;
    assert.deepEqual([workersStalled, workersLost, workersJoined], [2, 2, 4]);
    const back = run.eventsOf('worker-joined').slice(2);
    assert.deepEqual(new Map(back.map(({ rank, processId }) => [rank, processId])), workers);
  });

  test('goes on with one that was started by hand before', async (t) => {
    const long = await lasting(t, JOIN_MS);
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

  test('gives its own up that are killed again and again, and fails', async (t) => {
    const run = startRun(t, [...PROMISE, '--epochs', '100', '--workers', '1', '--lanes', '1']);
    const killed = new Set<number>();

    await run.program.during('a worker that is given up', () => {
      killNew(run, 0, killed);
      return run.eventsOf('worker-given-up').length > 0;
    });
    const { status } = await run.program.end();

    assert.deepEqual([status, killed.size], [1, 6]);
    const pauses = run.eventsOf('worker-restarting').map(({ pauseMs }) => pauseMs);
    assert.deepEqual(pauses, [250, 500, 1_000, 2_000, 4_000]);
    assert.match(
      run.program.stderr,
      /x rank 0 is not started again: killed with SIGKILL \(6 times/,
    );
    assert.match(run.program.stderr, /rank 0: killed with SIGKILL; if memory ran out, lower --wor/);
    assert.equal(run.summary().status, 'failed');
    await run.assertNothingLeft();
  });

  test('waits, and goes on from its snapshot with one that is started then', async (t) => {
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
});
