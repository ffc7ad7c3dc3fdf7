import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { freeze } from './processes.ts';
import { assertSameModel, lasting, referenceOf, SHORT, startRun, startWorker } from './runs.ts';

/** Several times what a worker takes to start. */
const JOIN_MS = 4_000;

describe('lockstep worker --join', () => {
  test('joins a run half-way and shares its work', async (t) => {
    const long = await lasting(t, JOIN_MS);
    const reference = await referenceOf(t, long);
    // Slowed down they leave their cores to the one that comes.
    const run = startRun(t, [...long, '--workers', '2', '--throttle', '4']);

    await run.reachesStep(20);
    const worker = await startWorker(t, run);
    const outcome = await run.outcome();

    assertSameModel(outcome, reference);
    const joined = run.eventsOf('worker-joined').find(({ processId }) => processId === worker.pid);
    assert.ok(joined!.step >= 20, `joined at step ${joined!.step}`);
    assert.ok(outcome.summary.workers.find(({ rank }) => rank === joined!.rank)!.samples > 0);
    assert.equal((await worker.end()).status, 0);
    assert.equal(worker.stdout, '');
    assert.match(
      worker.stderr,
      /joined run run as rank 2 with 1 lane on cpu\n.*done: the run is finished\n$/,
    );
  });

  test('does all the work of a coordinator that has no workers of its own', async (t) => {
    const reference = await referenceOf(t, SHORT);
    const run = startRun(t, [...SHORT, '--workers', '2'], 'coordinator');

    const workers = [await startWorker(t, run), await startWorker(t, run, '--rank', '7')];
    const outcome = await run.outcome();

    assertSameModel(outcome, reference);
    const { workers: listed, ledger } = outcome.summary;
    assert.ok(listed.some(({ rank }) => rank === 7));
    // The first micro-batch is computed before: to find the grid that sums are rounded to.
    assert.equal(
      listed.reduce((sum, { samples }) => sum + samples, 0),
      ledger.counted + 32,
    );
    for (const worker of workers) assert.equal((await worker.end()).status, 0);
  });

  test('ends well when it joins in the last second of a run', async (t) => {
    // One that is alone goes on where it was, if nobody else is ready before.
    const run = startRun(t, [...SHORT, '--workers', '1', '--lanes', '1', '--throttle', '4']);
    await run.reachesStep(215);
    const thaw = freeze(t, (await run.workerIds(1)).get(0)!);

    const late = await startWorker(t, run);
    await late.saying(/joined run run as rank 1/);
    thaw();
    await run.outcome();

    t.diagnostic(`it was ready ${run.eventsOf('worker-joined').length - 1} times`);
    assert.equal((await late.end(5_000)).status, 0, late.stderr);
    assert.match(late.stderr, /done: the run is finished\n$/);
    assert.deepEqual(run.eventsOf('worker-lost'), []);
  });

  test('waits for a coordinator that is started after it', async (t) => {
    // Arrange: a port that is free, told to both.
    const scout = startRun(t, ['--steps', '1', '--workers', '1'], 'coordinator');
    const address = await scout.address();
    scout.program.signal('SIGTERM');
    assert.equal((await scout.program.end()).status, 130);

    const early = await startWorker(t, scout);
    const port = address.slice(address.lastIndexOf(':') + 1);
    const run = startRun(t, ['--steps', '3', '--workers', '1', '--port', port], 'coordinator');
    const { summary } = await run.outcome();

    assert.equal(summary.steps, 3);
    assert.equal((await early.end()).status, 0);
  });
});
