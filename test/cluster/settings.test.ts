import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { temporaryFolder } from './processes.ts';
import { assertSameModel, type Outcome, type Run, startRun } from './runs.ts';

/** The two files of SmolCluster's README. */
const CLUSTER = `host_ip: "0.0.0.0"          # Server bind address (0.0.0.0 = all interfaces)
worker_connect_ip: "172.18.3.80"  # IP address workers use to connect to server
port: 65432                  # TCP port for communication
num_workers: 2               # Number of worker nodes to expect
timeout: 0.1                 # Timeout for gradient collection (seconds)
`;
const NETWORK = `batch_size: 32
learning_rate: 0.001
num_epochs: 2
eval_steps: 200        # Evaluate every N steps
track_gradients: true  # Log gradient norms to W&B
model:
  type: SimpleNN
  input_dim: 784
  hidden: 128
  out: 10
dataset:
  name: MNIST
`;

const SHORT = ['--hidden', '64,32', '--steps', '12', '--seed', '7'];
const OPTIMIZERS: readonly (readonly string[])[] = [
  [
    '--optimizer',
    'sgd',
    '--lr',
    '0.1',
    '--clip-norm',
    '0.5',
    '--schedule',
    'step',
    '--step-size',
    '4',
  ],
  [
    '--optimizer',
    'momentum',
    '--lr',
    '0.05',
    '--schedule',
    'cosine',
    '--warmup-steps',
    '3',
    '--min-lr',
    '0.01',
  ],
  ['--optimizer', 'adamw', '--clip-norm', '1', '--weight-decay', '0.1', '--activation', 'tanh'],
];

async function trained(
  t: TestContext,
  args: readonly string[],
): Promise<{ run: Run; outcome: Outcome }> {
  const run = startRun(t, args);
  return { run, outcome: await run.outcome() };
}

describe('lockstep train', () => {
  test("runs SmolCluster's two files as they are and says how it read them", async (t) => {
    const folder = temporaryFolder(t);
    const files = [join(folder, 'cluster_config.yaml'), join(folder, 'nn_config.yaml')];
    writeFileSync(files[0]!, CLUSTER);
    writeFileSync(files[1]!, NETWORK);

    const { run, outcome } = await trained(t, [
      ...files,
      '--epochs',
      '1',
      '--steps',
      '20',
      '--port',
      '0',
    ]);

    assert.equal(outcome.summary.steps, 20);
    assert.equal(outcome.summary.parameters, 784 * 128 + 128 + 128 * 10 + 10);
    assert.equal(outcome.summary.ledger.counted, 20 * 96);
    assert.equal(run.eventsOf('gradient-norms').length, 20);
    const said = run.program.stderr;
    for (const [file, line, key] of [
      ['cluster', 1, 'host_ip'],
      ['cluster', 5, 'timeout'],
      ['nn', 1, 'batch_size'],
      ['nn', 7, 'model.type'],
    ]) {
      assert.match(
        said,
        new RegExp(`note: \\S*${file}_config\\.yaml:${line}: .*`),
        `a note about ${key}`,
      );
    }
  });

  for (const args of OPTIMIZERS)
    test(`makes the same model on 1 lane and on 2 workers of 2: ${args.join(' ')}`, async (t) => {
      const alone = await trained(t, [...SHORT, ...args, '--workers', '1', '--lanes', '1']);
      const shared = await trained(t, [...SHORT, ...args, '--workers', '2', '--lanes', '2']);

      assertSameModel(shared.outcome, alone.outcome);
      const rates = new Set(alone.run.eventsOf('step').map(({ learningRate }) => learningRate));
      assert.equal(rates.size > 1, args.includes('--schedule'));
    });

  test('records the same gradient norms whoever computes them', async (t) => {
    const args = [...SHORT, '--track-gradients'];
    const alone = await trained(t, [...args, '--workers', '1', '--lanes', '1']);
    const lanes = await trained(t, [...args, '--workers', '1', '--lanes', '3']);
    const workers = await trained(t, [...args, '--workers', '2', '--lanes', '1']);

    const expected = normsOf(alone.run);

    assert.equal(expected.length, 12);
    for (const [, norms] of expected) {
      assert.equal(Object.keys(norms).length, 6);
      for (const norm of Object.values(norms)) assert.ok(norm > 0 && norm < 100, String(norm));
    }
    assert.deepEqual(normsOf(lanes.run), expected);
    assert.deepEqual(normsOf(workers.run), expected);
    assertSameModel(workers.outcome, alone.outcome);
  });

  test('trains a regression, and its loss falls', async (t) => {
    const args = ['--dataset', 'synthetic-regression', '--epochs', '3', '--seed', '3'];

    const { outcome } = await trained(t, [...args, '--workers', '2']);

    const { losses, summary } = outcome;
    assert.ok(losses.at(-1)! < losses[0]! / 4, `from ${losses[0]} to ${losses.at(-1)}`);
    assert.ok(summary.testLoss! < losses[0]! / 4);
    assert.equal(summary.testAccuracy, undefined);
  });

  test('keeps samples for validation, and reports on those', async (t) => {
    const args = [...SHORT, '--validation-split', '0.1'];
    const alone = await trained(t, [...args, '--workers', '1']);
    const shared = await trained(t, [...args, '--workers', '2']);

    const { summary } = shared.outcome;
    assertSameModel(shared.outcome, alone.outcome);
    assert.equal(summary.validationAccuracy, alone.outcome.summary.validationAccuracy);
    assert.equal(summary.testAccuracy, undefined);
    assert.equal(shared.run.eventsOf('evaluation')[0]!.sampleCount, 6_000);
  });
});

function normsOf(run: Run): (readonly [number, Readonly<Record<string, number>>])[] {
  return run.eventsOf('gradient-norms').map(({ step, norms }) => [step, norms] as const);
}
