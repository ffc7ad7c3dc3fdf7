import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { PROMISE, referenceOf, startRun } from './runs.ts';

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

describe('lockstep train', () => {
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
      assert.ok(run.program.stderr.includes(`to go on from it: --model ${model}\n`));
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
});
