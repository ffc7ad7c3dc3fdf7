/** What a run makes of a model does not depend on how many workers make it, whatever the model. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { REPOSITORY } from '../cluster/processes.ts';
import { assertSameModel, startRun } from '../cluster/runs.ts';

const IMAGES = ['--dataset', 'synthetic_image', '--image-size', '16', '--samples', '160'];
const TEXT = [
  '--dataset',
  'synthetic_text',
  '--vocabulary',
  '50',
  '--sequence-length',
  '16',
  '--samples',
  '160',
];
const SMALL_TRANSFORMER = ['--layers', '1', '--width', '16', '--heads', '2'];
const TABLES = ['--token-table', '50', '--position-table', '16'];

/** For data sets that are not small. */
const LARGE = ['--steps', '3', '--micro-batch', '16', '--global-batch', '112'];

const RUNS: Readonly<Record<string, readonly string[]>> = {
  'simple_cnn, with dropout': ['--model', 'simple_cnn', '--width', '4', ...IMAGES],
  'resnet18, with augmented images': [
    ...[
      '--model',
      'resnet18',
      '--layers',
      '1,1',
      '--width',
      '4',
      ...IMAGES,
      '--augment',
      'crop-flip',
    ],
  ],
  resnet50: ['--model', 'resnet50', '--layers', '1,1', '--width', '2', ...IMAGES],
  'bert, with dropout': ['--model', 'bert', ...SMALL_TRANSFORMER, ...TABLES, ...TEXT],
  'gpt2, with dropout': ['--model', 'gpt2', ...SMALL_TRANSFORMER, ...TABLES, ...TEXT],
  embedding: ['--model', 'embedding', '--width', '8', '--feed-forward', '16', ...TEXT],
  gpt: [
    ...['--model', 'gpt', ...SMALL_TRANSFORMER, '--dropout', '0.1'],
    ...['--dataset', 'moby_dick', '--sequence-length', '128', ...LARGE],
  ],
  'a network of PyTorch with BatchNorm': [
    ...[
      '--model',
      join(REPOSITORY, 'test/fixtures/onnx/pretrained-13.onnx'),
      '--freeze',
      'conv1.*',
    ],
    ...['--dataset', 'mnist', ...LARGE],
  ],
};
/**
 * Seven micro-batches a step, so that no number of workers shares them out evenly; the last one is
 * not full.
 */
const STEPS = [
  '--micro-batch',
  '6',
  '--global-batch',
  '42',
  '--epochs',
  '2',
  '--seed',
  '5',
  '--lanes',
  '1',
];

describe('the digest of a run is the same on 1, 2 and 3 workers for', () => {
  for (const [title, args] of Object.entries(RUNS))
    test(title, async (t) => {
      const outcome = async (workers: number): ReturnType<ReturnType<typeof startRun>['outcome']> =>
        startRun(t, [...STEPS, ...args, '--workers', String(workers)]).outcome();

      const alone = await outcome(1);

      assertSameModel(await outcome(2), alone);
      assertSameModel(await outcome(3), alone);
    });
});

/** Long enough that a worker can be killed in the middle. */
const LONG_RUNS = {
  'running statistics and augmented images': [
    ...RUNS['resnet18, with augmented images']!,
    '--epochs',
    '25',
  ],
  dropout: [...RUNS['gpt']!, '--steps', '60', '--eval-every', '1000000'],
};

describe('the digest of a run is the same when a worker is killed, with', () => {
  for (const [title, args] of Object.entries(LONG_RUNS))
    test(title, async (t) => {
      const alone = await startRun(t, [...STEPS, ...args, '--workers', '1']).outcome();
      const run = startRun(t, [...STEPS, ...args, '--workers', '3']);

      const ids = await run.workerIds(3);
      await run.reachesStep(10);
      process.kill(ids.get(1)!, 'SIGKILL');
      const outcome = await run.outcome();

      assertSameModel(outcome, alone);
      assert.equal(outcome.summary.events.workersLost, 1);
    });
});
