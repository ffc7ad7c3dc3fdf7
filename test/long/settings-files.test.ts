import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { temporaryFolder } from '../cluster/processes.ts';
import { assertSameModel } from '../cluster/runs.ts';
import { assertSameOnTwoWorkers, BRIEF, trained } from '../cluster/trained.ts';

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

  test('makes the same model on 1 lane and on 2 workers of 2, with AdamW', async (t) => {
    const args = ['--optimizer', 'adamw', '--clip-norm', '1', '--weight-decay', '0.1'];

    await assertSameOnTwoWorkers(t, [...args, '--activation', 'tanh']);
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
    const args = [...BRIEF, '--validation-split', '0.1'];
    const alone = await trained(t, [...args, '--workers', '1']);
    const shared = await trained(t, [...args, '--workers', '2']);

    const { summary } = shared.outcome;
    assertSameModel(shared.outcome, alone.outcome);
    assert.equal(summary.validationAccuracy, alone.outcome.summary.validationAccuracy);
    assert.equal(summary.testAccuracy, undefined);
    assert.equal(shared.run.eventsOf('evaluation')[0]!.sampleCount, 6_000);
  });
});
