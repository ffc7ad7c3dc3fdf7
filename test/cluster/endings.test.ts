import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { assertGone, freeze, startLockstep, temporaryFolder } from './processes.ts';
import { PROMISE, referenceOf, Run, startRun } from './runs.ts';

/** What a file of tensors says of itself. */
function metadataOf(path: string): Readonly<Record<string, string>> {
  const bytes = readFileSync(path);
  const length = Number(bytes.readBigUInt64LE());
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + length)) as Record<
    string,
    Record<string, string>
  >;
  return header['__metadata__'] ?? {};
}

/**
 * On SIGUSR2 a promise that nobody looks after fails in the main thread of `lockstep`: in a worker
 * by a mistake of ours, in a coordinator since it may open no more files.
 */
const MISTAKE = `
  import { isMainThread } from 'node:worker_threads';
  const shortage = process.argv[2] === 'train' && { code: 'EMFILE' };
  const fail = () => Promise.reject(Object.assign(new TypeError('a mistake'), shortage));
  if (isMainThread) process.on('SIGUSR2', fail);`;

/** Starts a run whose processes have a mistake in them. */
function startMistakenRun(t: TestContext, ...args: readonly string[]): Run {
  const folder = temporaryFolder(t);
  const place = ['--json', '--out-dir', folder, '--name', 'run'];
  const environment = {
    NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(MISTAKE)}`,
  };
  const program = startLockstep(t, ['train', ...args, ...place], undefined, environment);
  return new Run(program, join(folder, 'run'));
}

describe('a process in which something fails that nobody looks after', () => {
  test('ends at once; a worker is started again, a coordinator leaves nobody', async (t) => {
    const run = startMistakenRun(t, ...PROMISE, '--epochs', '100', '--workers', '2');
    const workers = await run.workerIds(2);

    process.kill(workers.get(1)!, 'SIGUSR2');
    const { rank, reason } = await run.event('worker-restarting');
    const back = await run.event('worker-joined', (event) => !isFirst(event, workers));
    await run.reachesStep(back.step + 5);
    run.program.signal('SIGUSR2');
    const { status } = await run.program.end(2_000);

    assert.deepEqual([rank, reason], [1, 'a mistake']);
    assert.deepEqual([status, run.program.stdout], [1, '']);
    assert.match(run.program.stderr, /\nerror: this process has as many files .*\(EMFILE\)\. /);
    assert.doesNotMatch(run.program.stderr, /^ +at /m);
    const log = readFileSync(join(run.folder, 'logs/rank_1.log'), 'utf8');
    assert.match(log, /\nTypeError: a mistake\n +at /);
    await assertGone([...workers.values(), back.processId]);
  });
});

function isFirst(
  { processId }: { readonly processId: number },
  workers: ReadonlyMap<number, number>,
): boolean {
  return [...workers.values()].includes(processId);
}

describe('lockstep train', () => {
  test('ends at once on a second Ctrl-C, also when no worker answers', async (t) => {
    const run = startRun(t, [...PROMISE, '--epochs', '100', '--workers', '2']);
    const workers = await run.workerIds(2);

    await run.reachesStep(5);
    for (const pid of workers.values()) freeze(t, pid);
    run.program.signal('SIGINT');
    await run.program.saying(/stopping; press Ctrl-C again to end at once\n/);
    run.program.signal('SIGINT');
    const { status } = await run.program.end(2_000);

    assert.equal(status, 130);
    await run.assertNothingLeft();
    assert.ok(!existsSync(join(run.folder, 'model.onnx')), 'nor half a model');
  });

  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    test(`ends with 130 on ${signal}, and what was committed is in its files`, async (t) => {
      const run = startRun(t, [...PROMISE, '--epochs', '100', '--workers', '2']);
      await run.workerIds(2);

      await run.reachesStep(20);
      run.program.signal(signal);
      const ending = await run.program.end();

      assert.deepEqual(ending, { status: 130, signal: null });
      await run.assertNothingLeft();
      const summary = run.summary();
      assert.equal(summary.status, 'interrupted');
      assert.equal(summary.reason, 'interrupted by the user');
      assert.ok(summary.steps >= 20);
      assert.equal(run.eventsOf('step').at(-1)!.step, summary.steps);
      assert.equal(summary.ledger.counted, summary.steps * 192);
      assert.equal(summary.stateDigest, undefined);
      assert.deepEqual(JSON.parse(run.program.stdout), summary);
      // The model is that of the last commit, as one can go on from it.
      assert.deepEqual([summary.modelStep, summary.noModel], [summary.steps, undefined]);
      const model = join(run.folder, 'model.onnx');
      assert.ok(existsSync(model) && existsSync(join(run.folder, 'model.safetensors')));
      assert.ok(run.program.stderr.includes(`to begin anew from it: --model ${model}\n`));
      assert.match(run.program.stderr, /stopping; press Ctrl-C again to end at once\n/);
    });

  test('keeps the model of its last snapshot when it is interrupted', async (t) => {
    const run = startRun(t, [...PROMISE, '--epochs', '100', '--workers', '2', '--lanes', '1']);
    const workers = await run.workerIds(2);

    // Who joins in the midst of a run gets its state, which so becomes the snapshot.
    await run.reachesStep(5);
    process.kill(workers.get(1)!, 'SIGKILL');
    await run.event('worker-joined', (event) => event.step > 0);
    run.program.signal('SIGINT');
    const { status } = await run.program.end();

    assert.equal(status, 130);
    const { status: recorded, modelStep, steps, noModel } = run.summary();
    assert.deepEqual([recorded, noModel], ['interrupted', undefined]);
    // It may have had steps to catch up with, from that state to where it joined.
    const [lost] = run.eventsOf('worker-lost');
    const isLater = modelStep! >= lost!.step && modelStep! <= steps;
    assert.ok(isLater, `${lost!.step}, ${modelStep}, ${steps}`);
    assert.deepEqual(
      run.eventsOf('run-unfinished').map((event) => [event.step, event.modelStep]),
      [[steps, modelStep]],
    );
    assert.match(
      run.program.stderr,
      new RegExp(`before its last: the model is that of step ${modelStep};`),
    );
    const { summary } = await referenceOf(t, [...PROMISE, '--steps', String(modelStep)]);
    const { weightsDigest, step: written } = metadataOf(join(run.folder, 'model.safetensors'));
    assert.deepEqual([weightsDigest, written], [summary.weightsDigest, String(modelStep)]);
    assert.ok(existsSync(join(run.folder, 'model.onnx')));
  });

  test('ends in good order when interrupted before its first step', async (t) => {
    const run = startRun(t, [...PROMISE, '--workers', '2']);

    await run.program.saying(/coordinator \S+:\d+/);
    run.program.signal('SIGINT');
    const { status } = await run.program.end();

    assert.equal(status, 130);
    assert.equal(run.summary().status, 'interrupted');
    assert.equal(run.summary().steps, 0);
  });

  test('fails before the update that a loss without bounds would make, and keeps the model', async (t) => {
    const run = startRun(t, [
      '--optimizer',
      'momentum',
      '--lr',
      '1000',
      '--steps',
      '300',
      '--seed',
      '7',
    ]);

    const { status } = await run.program.end();

    assert.equal(status, 1);
    await run.assertNothingLeft();
    assert.equal(run.program.stdout, '');
    const says = new RegExp(
      '\nerror: step (\\d+), micro-batch \\d+: [^\n]* is not finite\\. ' +
        'Nothing of this step was applied\\. [^\n]*\n$',
    );
    const step = Number(says.exec(run.program.stderr)?.[1]);
    const summary = run.summary();
    assert.deepEqual([summary.status, summary.code, summary.steps], ['failed', 'NON_FINITE', step]);
    assert.equal(summary.stateDigest, undefined);
    assert.ok(step > 0);
    assert.equal(summary.modelStep, step);
    assert.ok(existsSync(join(run.folder, 'model.onnx')));
  });

  test('tells that the loss has exploded, and ends only where that is wanted', async (t) => {
    const data = ['--dataset', 'synthetic_regression', '--hidden', '8', '--seed', '7'];
    // Its loss is finite to the end, and tens of thousands of times the first.
    const args = [...data, '--optimizer', 'momentum', '--lr', '2.2', '--steps', '4'];
    const exploded =
      /\n! step (\d): the training has diverged: the loss is [\d.]+e\+\d+, the first was/;

    const warned = startRun(t, [...args, '--workers', '1', '--lanes', '1']);
    const { summary } = await warned.outcome();
    const stopped = startRun(t, [
      ...args,
      '--workers',
      '1',
      '--lanes',
      '1',
      '--stop-on-divergence',
    ]);
    const { status } = await stopped.program.end();

    const step = Number(exploded.exec(warned.program.stderr)?.[1]);
    assert.ok(step > 0 && step === summary.diverged?.step, warned.program.stderr);
    assert.equal(summary.steps, 4);
    assert.equal(status, 1);
    assert.match(stopped.program.stderr, exploded);
    assert.match(
      stopped.program.stderr,
      new RegExp(`\nerror: step ${step}: the training has diverged: [^\n]*--lr[^\n]*\n$`),
    );
    const { status: how, code, steps, modelStep } = stopped.summary();
    assert.deepEqual([how, code, steps, modelStep], ['failed', 'DIVERGED', step, step]);
  });
});
