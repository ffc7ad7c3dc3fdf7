/**
 * Models with running statistics, dropout and augmented data: what is random belongs to the step,
 * not to the worker.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { CNN } from './shared-runs.ts';
import { assertSameModel, referenceOf, startRun } from './runs.ts';

/** A language model with dropout: tokens, and a label for every position. */
const GPT: readonly string[] = [
  ...[
    '--model',
    'gpt',
    '--dataset',
    'moby_dick',
    '--sequence-length',
    '16',
    '--layers',
    '1',
    '--width',
    '16',
  ],
  ...[
    '--heads',
    '2',
    '--dropout',
    '0.2',
    '--micro-batch',
    '4',
    '--global-batch',
    '16',
    '--steps',
    '12',
  ],
  ...['--eval-every', '12', '--seed', '7'],
];

describe('a run with running statistics, dropout and augmentation', () => {
  test('learns', async (t) => {
    const { summary, losses } = await referenceOf(t, CNN);

    assert.ok(
      losses.slice(-20).every((loss) => loss < losses[0]!),
      `from ${losses[0]} to ${losses.at(-1)}`,
    );
    assert.ok(summary.testAccuracy! > 0.3, `accuracy ${summary.testAccuracy}`);
    assert.equal(summary.parameters, 1846, 'running statistics are not counted');
  });

  test('ends with the same model on two workers', async (t) => {
    const reference = await referenceOf(t, CNN);

    const run = startRun(t, [...CNN, '--workers', '2', '--lanes', '1']);

    assertSameModel(await run.outcome(), reference);
  });

  test('writes running statistics beside the weights', async (t) => {
    const run = startRun(t, [...CNN, '--steps', '3', '--lanes', '1', '--workers', '1']);
    await run.outcome();

    const file = readFileSync(join(run.folder, 'model.safetensors'));
    const length = Number(file.readBigUInt64LE(0));
    const table = JSON.parse(file.subarray(8, 8 + length).toString()) as Record<string, unknown>;
    const statistics = Object.keys(table).filter((name) => /running_(mean|var)/.test(name));
    assert.equal(statistics.length, 4);
  });
});

describe('a language model with dropout', () => {
  test('ends with the same model on one worker of two lanes and on two workers', async (t) => {
    const reference = await referenceOf(t, GPT);

    const lanes = await startRun(t, [...GPT, '--workers', '1', '--lanes', '2']).outcome();
    const workers = await startRun(t, [...GPT, '--workers', '2', '--lanes', '1']).outcome();

    assertSameModel(lanes, reference);
    assertSameModel(workers, reference);
    assert.ok(reference.summary.testAccuracy! > 0, 'the share of right positions is reported');
  });
});
