import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseTrainConfig } from './parse-train-config.ts';
import type { ConfigNote } from './seed-keys.ts';

/** The two files of SmolCluster's README, as they stand there. */
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
const cluster = { file: 'cluster_config.yaml', text: CLUSTER };
const network = { file: 'nn_config.yaml', text: NETWORK };

function about(notes: readonly ConfigNote[], key: string): string {
  const found = notes.filter((note) => note.key === key);
  assert.equal(found.length, 1, `one note about ${key}`);
  const { file, line, message } = found[0]!;
  return `${file}:${line} ${message}`;
}

describe("SmolCluster's configuration files", () => {
  test('are read as they are, in either order', () => {
    const expected = {
      ...parseTrainConfig([]).config,
      workers: 2,
      port: 65_432,
      microBatch: 32,
      globalBatch: 96,
      lr: 0.001,
      epochs: 2,
      evalEvery: 200,
      trackGradients: true,
      hidden: [128],
    };

    assert.deepEqual(parseTrainConfig([cluster, network]).config, expected);
    assert.deepEqual(parseTrainConfig([network, cluster]).config, expected);
  });

  test('give one note for every key that was translated, changed or not used', () => {
    const { notes } = parseTrainConfig([cluster, network]);

    assert.match(
      about(notes, 'host_ip'),
      /^cluster_config\.yaml:1 "0\.0\.0\.0" is not used: train stays on loopback/,
    );
    assert.match(
      about(notes, 'worker_connect_ip'),
      /:2 "172\.18\.3\.80" .* `lockstep worker --join`/,
    );
    assert.match(about(notes, 'num_workers'), /:4 read as workers/);
    assert.equal(
      about(notes, 'timeout'),
      'cluster_config.yaml:5 0.1 s is not used: exact mode waits for every micro-batch and ' +
        're-issues the work of a stalled worker; nothing is dropped',
    );
    assert.match(
      about(notes, 'batch_size'),
      /:1 read as micro_batch 32 and global_batch 96, .* 32 x \(2 workers \+ the server/,
    );
    assert.match(about(notes, 'learning_rate'), /:2 read as lr/);
    assert.match(about(notes, 'num_epochs'), /:3 read as epochs/);
    assert.match(about(notes, 'eval_steps'), /:4 read as eval_every/);
    assert.match(about(notes, 'model.type'), /:7 SimpleNN is read as model mlp/);
    assert.match(about(notes, 'model.input_dim'), /:8 784 is not used/);
    assert.match(about(notes, 'model.hidden'), /:9 read as hidden \[128\], .* \[256, 512\]/);
    assert.match(about(notes, 'model.out'), /:10 10 is not used/);
    assert.match(about(notes, 'dataset.name'), /:12 read as dataset "mnist"/);
    assert.equal(notes.length, 13);
  });

  test('keep their global batch whatever --workers says; num_workers of the file counts', () => {
    assert.equal(parseTrainConfig([cluster, network], { workers: '5' }).config.globalBatch, 96);
    const three = { ...cluster, text: CLUSTER.replace('num_workers: 2', 'num_workers: 3') };
    assert.equal(parseTrainConfig([network, three]).config.globalBatch, 128);
    assert.equal(parseTrainConfig([network]).config.globalBatch, 96);
  });

  test('are refused once for a bad count, not again for what follows from it', () => {
    const bad = { file: 'c.yaml', text: 'num_workers: -1\nbatch_size: 32\n' };

    assert.throws(() => parseTrainConfig([bad]), {
      message: 'c.yaml:1:1 num_workers: expected a whole number 1 to 1024, got -1',
    });
  });

  test('leave a global batch alone that is given beside them', () => {
    const { config, notes } = parseTrainConfig([
      network,
      { file: 'mine.yaml', text: 'global_batch: 320\n' },
    ]);

    assert.deepEqual([config.microBatch, config.globalBatch], [32, 320]);
    assert.match(about(notes, 'batch_size'), /global_batch is given beside it/);
  });

  test('may name their hosts; num_workers counts when it differs from the list', () => {
    const hosts = 'server: mini1\nworkers: [mini2, mini3, pi5]\n';
    const alone = parseTrainConfig([{ file: 'c.yaml', text: hosts }]);
    assert.equal(alone.config.workers, 3);
    assert.match(about(alone.notes, 'workers'), /list of 3 host names is read as a count/);
    assert.match(about(alone.notes, 'server'), /not part of train/);

    assert.equal(
      parseTrainConfig([{ file: 'c.yaml', text: `${hosts}num_workers: 3\n` }]).config.workers,
      3,
    );
    for (const text of [`${hosts}num_workers: 2\n`, `num_workers: 2\n${hosts}`]) {
      const { config, notes } = parseTrainConfig([{ file: 'c.yaml', text }]);
      assert.equal(config.workers, 2);
      assert.ok(
        notes.some(({ message }) =>
          /^2 is used, not 3 of c\.yaml:\d:1 workers \(list\)$/.test(message),
        ),
      );
    }
  });

  test('are checked like any other: a bad value names the key as it was written', () => {
    const bad = {
      file: 'nn_config.yaml',
      text:
        'batch_size: big\nlearning_rate: -1\nmodel: {type: ResNet, hidden: 0}\ndataset: ' +
        '{name: CIFAR}\n',
    };

    assert.throws(
      () => parseTrainConfig([bad]),
      (error: Error) => {
        assert.deepEqual(error.message.split('\n'), [
          'nn_config.yaml:3:9 model.type: expected one of mlp, simple_cnn, resnet18, ' +
            'resnet50, transformer, embedding, bert, gpt2, gpt, or a path of an .onnx file, got ' +
            '"ResNet"; did you mean "resnet18"?',
          'nn_config.yaml:3:23 model.hidden: expected 0 to 64 whole numbers, each 1 to 65536, ' +
            'got 0',
          'nn_config.yaml:4:11 dataset.name: expected one of mnist, fashion_mnist, cifar10, ' +
            'cifar100, digits, moby_dick, synthetic_image, synthetic_text, ' +
            'synthetic_regression, linear_regression, number_sequences, token_bags, or a path ' +
            'of a .npz, .csv or .txt file, or of a folder of .npy files or class-named images ' +
            '(./folder), got "cifar"; did you mean "cifar10"?',
          'nn_config.yaml:1:1 batch_size: expected a whole number 1 to 65536, got "big"',
          'nn_config.yaml:2:1 learning_rate: expected a number above 0 to 1000, got -1',
        ]);
        return true;
      },
    );
  });
});
