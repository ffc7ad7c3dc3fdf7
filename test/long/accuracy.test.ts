/** Every kind of model learns, on two workers in exact mode, as far as its data let it. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { startLockstep, temporaryFolder } from '../cluster/processes.ts';
import { startRun } from '../cluster/runs.ts';
import { samplesOf, worthOf } from './inference.ts';

/** Three times what the longest run here takes on two free cores. */
const DEADLINE_MS = 180_000;
const FASHION = '/usr/share/datasets/fashion-mnist';
const skip = existsSync(FASHION)
  ? false
  : 'no Fashion-MNIST: apt-get install dataset-fashion-mnist';

const TEXT = {
  dataset: 'synthetic_text',
  samples: '4000',
  vocabulary: '100',
  'sequence-length': '32',
};
const SMALL_TRANSFORMER = [
  ...[
    '--layers',
    '2',
    '--width',
    '32',
    '--heads',
    '2',
    '--token-table',
    '128',
    '--position-table',
    '32',
  ],
  ...['--epochs', '5', '--micro-batch', '32', '--global-batch', '64'],
  ...['--lr', '0.003', '--schedule', 'cosine', '--warmup-steps', '20'],
];

/**
 * Trains on two workers, and asks for an accuracy on the test samples that ONNX Runtime confirms.
 */
async function assertLearns(
  t: TestContext,
  data: Readonly<Record<string, string>>,
  args: readonly string[],
  least: number,
): Promise<void> {
  const dataFlags = Object.entries(data).flatMap(([key, value]) => [`--${key}`, value]);
  const run = startRun(t, [
    ...dataFlags,
    ...args,
    '--workers',
    '2',
    '--lanes',
    '1',
    '--eval-every',
    '1000000',
  ]);

  const { summary } = await run.outcome(DEADLINE_MS);

  assert.ok(summary.testAccuracy! >= least, `accuracy ${summary.testAccuracy}, expected ${least}`);
  for (const { rank, samples } of summary.workers)
    assert.ok(samples > 0, `rank ${rank} did nothing`);
  const { accuracy, loss } = await worthOf(
    join(run.folder, 'model.onnx'),
    (await samplesOf(data)).test,
  );
  assert.ok(
    Math.abs(accuracy - summary.testAccuracy!) < 0.001,
    `${accuracy}, not ${summary.testAccuracy}`,
  );
  assert.ok(Math.abs(loss - summary.testLoss!) < 0.001, `${loss}, not ${summary.testLoss}`);
}

describe('lockstep train learns', () => {
  test('Fashion-MNIST to 90 % with simple_cnn', { skip }, async (t) => {
    const args = [
      ...['--model', 'simple_cnn', '--width', '16', '--dropout', '0.1', '--epochs', '4'],
      ...['--micro-batch', '48', '--global-batch', '96', '--lr', '0.004', '--schedule', 'cosine'],
    ];

    // Measured: 0.914, in 43 s on two free cores.
    await assertLearns(t, { dataset: 'fashion_mnist' }, args, 0.9);
  });

  test('images in the layout of CIFAR-10 to 95 % with a small ResNet', async (t) => {
    const folder = temporaryFolder(t);
    const made = startLockstep(t, ['data', 'make-cifar', folder, '--samples', '3000']);
    assert.equal((await made.end()).status, 0, made.stderr);
    const args = [
      ...['--model', 'resnet18', '--layers', '1,1,1', '--width', '8', '--epochs', '3'],
      ...['--micro-batch', '32', '--global-batch', '64', '--lr', '0.005', '--schedule', 'cosine'],
    ];

    // Measured: 1.000, as the made-up images are meant to be learnt.
    await assertLearns(t, { dataset: 'cifar10', 'data-dir': folder }, args, 0.95);
  });

  for (const model of ['bert', 'gpt2'])
    test(`which words make the class of a text, to 95 % with a small ${model}`, async (t) => {
      // Measured with seeds 1, 2 and 3: bert 0.993, 0.989, 0.990; gpt2 0.975, 0.983, 0.978.
      await assertLearns(t, TEXT, ['--model', model, ...SMALL_TRANSFORMER], 0.95);
    });
});
