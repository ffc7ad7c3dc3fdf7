/** Ends that are waited for: of a frozen worker, of orphans, of a worker among others. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { assertGone, DEADLINE_MS } from '../cluster/processes.ts';
import {
  assertSameModel,
  lasting,
  PROMISE,
  referenceOf,
  SHORT,
  startRun,
  startWorker,
} from '../cluster/runs.ts';

/** Several times what a worker takes to start. */
const JOIN_MS = 5_000;
/** A worker whose coordinator is there again has loaded its data already. */
const COMEBACK_MS = 5_000;
/** How long local workers look for a coordinator that is gone, and some time to end. */
const ORPHAN_MS = 10_000 + 5_000;

describe('lockstep train', () => {
  test('ends in good order when interrupted while a worker is frozen', async (t) => {
    const run = startRun(t, [...PROMISE, '--epochs', '100', '--workers', '2']);
    const workers = await run.workerIds(2);

    await run.reachesStep(5);
    process.kill(workers.get(1)!, 'SIGSTOP');
    run.program.signal('SIGINT');
    const { status } = await run.program.end();

    assert.equal(status, 130);
    await run.assertNothingLeft();
  });

  test('leaves no worker behind when it is killed', async (t) => {
    const run = startRun(t, [...PROMISE, '--epochs', '100', '--workers', '2']);
    const workers = await run.workerIds(2);
    t.after(() => assertGone([...workers.values()], DEADLINE_MS));

    await run.reachesStep(5);
    run.program.signal('SIGKILL');
    await run.program.end();

    await assertGone([...workers.values()], ORPHAN_MS);
    const steps = run.eventsOf('step');
    assert.ok(steps.length >= 5, 'what was committed until shortly before is in metrics.jsonl');
  });
});

describe('lockstep worker --join', () => {
  test('ends with exit code 130 on Ctrl-C, and the run goes on without it', async (t) => {
    const long = await lasting(t, JOIN_MS);
    const reference = await referenceOf(t, long);
    const run = startRun(t, [...long, '--workers', '1']);
    const worker = await startWorker(t, run);
    const joined = await run.event('worker-joined', ({ processId }) => processId === worker.pid);

    await run.reachesStep(joined.step + 5);
    worker.signal('SIGINT');
    const { status } = await worker.end();
    const outcome = await run.outcome();

    assert.equal(status, 130);
    assert.match(worker.stderr, /done: the worker was interrupted\n$/);
    assertSameModel(outcome, reference);
    assert.equal(run.eventsOf('worker-lost')[0]!.reason, 'the worker was interrupted');
  });

  test('is in the next run at once when its coordinator is killed and started again', async (t) => {
    const reference = await referenceOf(t, SHORT);
    const first = startRun(t, [...SHORT, '--epochs', '100', '--workers', '1'], 'coordinator');
    const worker = await startWorker(t, first);
    await first.reachesStep(5);
    const port = (await first.address()).split(':').at(-1) ?? '';

    first.program.signal('SIGKILL');
    await first.program.end();
    const again = startRun(t, [...SHORT, '--workers', '1', '--port', port], 'coordinator');
    await again.address();
    const openMs = performance.now();
    const { processId } = await again.event('worker-joined');
    const joinMs = performance.now() - openMs;
    const outcome = await again.outcome();

    assert.equal(processId, worker.pid);
    assert.ok(joinMs < COMEBACK_MS, `it took ${joinMs.toFixed(0)} ms`);
    // From its first step: there are no checkpoints yet.
    assertSameModel(outcome, reference);
    assert.match(worker.stderr, /lost the coordinator .*; looking for it for 60 s/);
    assert.equal((await worker.end()).status, 0);
  });
});
