/**
 * Models with running statistics, dropout and augmented data: what is random belongs to the step,
 * not to the worker.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { REPOSITORY } from './processes.ts';
import { assertSameModel, referenceOf, startRun, testSeed } from './runs.ts';

const STEPS = 240;
/**
 * A network exported from PyTorch with two BatchNorms and a Dropout, on images that are shifted and
 * mirrored.
 */
const CNN: readonly string[] = [
  ...[
    '--model',
    join(REPOSITORY, 'test/fixtures/onnx/cnn-13.onnx'),
    '--dataset',
    'synthetic_image',
  ],
  ...['--image-size', '28', '--channels', '1', '--classes', '10', '--samples', '300'],
  ...['--augment', 'crop-flip', '--clip-norm', '1', '--optimizer', 'adamw', '--lr', '0.003'],
  ...[
    '--micro-batch',
    '8',
    '--global-batch',
    '48',
    '--steps',
    String(STEPS),
    '--eval-every',
    '120',
    '--seed',
    '7',
  ],
];
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

  for (const [workers, lanes] of [
    [1, 2],
    [2, 1],
    [3, 1],
  ] as const)
    test(`ends with the same model on ${workers} workers of ${lanes} lanes`, async (t) => {
      const reference = await referenceOf(t, CNN);

      const run = startRun(t, [...CNN, '--workers', String(workers), '--lanes', String(lanes)]);

      assertSameModel(await run.outcome(), reference);
    });

  test('ends with the same model when a worker is killed', async (t) => {
    const reference = await referenceOf(t, CNN);
    const seed = testSeed(t);
    const run = startRun(t, [...CNN, '--workers', '3', '--lanes', '1']);
    const workers = await run.workerIds(3);

    await run.reachesStep(5 + (seed % 40));
    process.kill(workers.get(seed % 3)!, 'SIGKILL');
    const outcome = await run.outcome();

    assertSameModel(outcome, reference);
    assert.equal(outcome.summary.events.workersLost, 1);
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
