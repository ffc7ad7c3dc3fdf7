import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { DIGITS } from './shared-runs.ts';
import { assertSameModel, referenceOf, type Run, startRun } from './runs.ts';

/** The parameters of a run, by their place in its safetensors file. */
function weightsOf(run: Run): Float32Array {
  const bytes = readFileSync(join(run.folder, 'model.safetensors'));
  const start = 8 + Number(bytes.readBigUInt64LE());
  return new Float32Array(
    bytes.buffer.slice(bytes.byteOffset + start, bytes.byteOffset + bytes.length),
  );
}

describe('lockstep train --strategy rounds', () => {
  for (const workers of [2, 3])
    test(`ends with the same model on ${workers} workers as on one`, async (t) => {
      const reference = await referenceOf(t, DIGITS);

      const outcome = await startRun(t, [...DIGITS, '--workers', String(workers)]).outcome();

      assertSameModel(outcome, reference);
      assert.deepEqual(outcome.summary.rounds, { shards: 17, localEpochs: 1, localSteps: 3 });
      assert.equal(outcome.summary.ledger.counted, 3 * 1617);
      assert.ok(
        outcome.summary.workers.every(({ microBatches }) => microBatches > 0),
        'everybody has trained on shards',
      );
    });

  test('ends with the same model when a worker is killed in the midst of a round', async (t) => {
    const args = [...DIGITS, '--rounds', '40'];
    const reference = await referenceOf(t, args);

    const run = startRun(t, [...args, '--workers', '3']);
    const processes = await run.workerIds(3);
    await run.reachesStep(5);
    process.kill(processes.get(1)!, 'SIGKILL');
    const outcome = await run.outcome();

    assertSameModel(outcome, reference);
    assert.deepEqual(
      run.eventsOf('worker-lost').map(({ rank }) => rank),
      [1],
    );
  });

  test('trains one shard as ordinary training does, but for rounding the result', async (t) => {
    const same = [
      '--model',
      'mlp',
      '--hidden',
      '64',
      '--dataset',
      'digits',
      '--global-batch',
      '64',
      '--workers',
      '1',
      '--epochs',
      '2',
    ];
    const ordinary = startRun(t, same);
    const rounds = startRun(t, [
      ...same,
      '--strategy',
      'rounds',
      '--shards',
      '1',
      '--local-epochs',
      '2',
    ]);
    const { losses } = await ordinary.outcome();
    const { summary } = await rounds.outcome();

    const sizes = ordinary.eventsOf('step').map(({ sampleCount }) => sampleCount);
    const lossSum = losses.reduce((sum, loss, step) => sum + loss * sizes[step]!, 0);
    assert.equal(summary.steps, 1);
    assert.ok(
      Math.abs(summary.trainLoss! - lossSum / (2 * 1617)) < 1e-12,
      'the same loss at every step',
    );
    const [end, expected] = [weightsOf(rounds), weightsOf(ordinary)];
    assert.equal(end.length, 64 * 64 + 64 + 64 * 10 + 10);
    assert.ok(expected.some((value) => Math.abs(value) > 0.1));
    for (const [i, value] of end.entries()) assert.ok(Math.abs(value - expected[i]!) < 1e-6);
  });

  test('learns digits', async (t) => {
    const args = [
      '--strategy',
      'rounds',
      '--dataset',
      'digits',
      '--global-batch',
      '32',
      '--epochs',
      '12',
      '--local-epochs',
      '2',
    ];
    const { summary } = await startRun(t, args).outcome();

    assert.ok(summary.testAccuracy! >= 0.95, `accuracy ${summary.testAccuracy}`);
    assert.deepEqual([summary.steps, summary.epochs], [6, 12]);
  });

  test('has shards computed twice when asked to, and finds honest workers so', async (t) => {
    const { summary } = await startRun(t, [...DIGITS, '--workers', '3', '--audit', '1']).outcome();

    assert.ok(summary.microBatchesAudited! > 0, 'shards are computed twice');
    assert.equal(summary.events.workersDistrusted, 0);
    assertSameModel({ summary, losses: [] }, { ...(await referenceOf(t, DIGITS)), losses: [] });
  });

  test('fails with exit code 1 when training diverges, naming the shard', async (t) => {
    const args = [
      '--strategy',
      'rounds',
      '--dataset',
      'synthetic_regression',
      '--samples',
      '1024',
      '--optimizer',
      'sgd',
      '--lr',
      '1000',
      '--global-batch',
      '32',
      '--rounds',
      '9',
    ];
    const run = startRun(t, args);
    const { status } = await run.program.end();

    assert.equal(status, 1);
    const says =
      '^error: round \\d+, shard \\d+: the loss is not finite\\. ' +
      'Nothing of this round was applied\\. Lower --lr';
    assert.match(run.program.stderr, new RegExp(says, 'm'));
    assert.equal(run.summary().code, 'NON_FINITE');
  });
});
