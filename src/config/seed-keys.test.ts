import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseTrainConfig } from './parse-train-config.ts';
import type { ConfigNote } from './seed-translation.ts';

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
        're-issues the work of a stalled worker; nothing is dropped. What it did is ' +
        'strategy parameter-server, mode deadline, gradient_timeout',
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
    assert.match(about(alone.notes, 'server'), /`lockstep launch` starts it there/);

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

/** Files in the shapes that later commits of SmolCluster gave them. */
const ADDRESSES = 'host_ip:\n  mini1: "10.10.0.1"\n  pi5: "192.168.50.1"\n';
const PORTS = 'port:\n  default: 65432\n  mini1: 65433\n  ipad: 8000\n';
const GPT = `vocab_size: null
model_dim: 256
num_layers: 6
num_heads: 4
ff_dim: 768
dropout: 0.1
max_seq_len: 128
num_microbatches: 16
batch_size: 16
num_epochs: 2
learning_rate: 0.0003
weight_decay: 0.01
grad_clip_norm: 1.0
eval_steps: 200
use_fp16: true
use_lr_scheduler: true
warmup_iters: 300
min_lr: 0.00003
dataset_name: "wikitext"
dataset_config: "wikitext-103-v1"
tokenizer: "openai-community/gpt2"
project_name: "gpt"
log_interval: 50
track_gradients: true
decoder_type: { ppl: true }
save_checkpoints: true
checkpoint_dir: "checkpoints"
checkpoint_steps: 500
resume_from_checkpoint: null
max_checkpoints_to_keep: 3
save_optimizer_state: true
`;
const gpt = { file: 'gpt_config.yaml', text: GPT };

describe("SmolCluster's files of later commits", () => {
  test('give the network its clipping, and evaluate every eval_step', () => {
    const text = (enabled: boolean): string =>
      `eval_step: 50\npolyak_alpha: 0.9\ngradient_clipping:\n  enabled: ${enabled}\n  max_norm: 2.0\n`;
    const on = parseTrainConfig([{ file: 'nn.yaml', text: text(true) }]);
    const off = parseTrainConfig([{ file: 'nn.yaml', text: text(false) }]);

    assert.deepEqual([on.config.clipNorm, on.config.evalEvery], [2, 50]);
    assert.match(about(on.notes, 'gradient_clipping.max_norm'), /:5 read as clip_norm: .* whole/);
    assert.match(about(on.notes, 'polyak_alpha'), /:2 0\.9 is not used: .* the same weights/);
    assert.equal(off.config.clipNorm, undefined);
    assert.match(about(off.notes, 'gradient_clipping.max_norm'), /2 is not used: enabled is not/);
  });

  test('clip to 1 when no norm is given; a clipping of another shape is refused', () => {
    const parse = (text: string) => parseTrainConfig([{ file: 'nn.yaml', text }]).config.clipNorm;

    assert.equal(parse('gradient_clipping: {enabled: true}\n'), 1);
    assert.throws(() => parse('gradient_clipping: 1.0\n'), {
      message: /^nn\.yaml:1:1 gradient_clipping: expected a mapping: enabled .* got 1$/,
    });
    assert.throws(() => parse('gradient_clipping: {enabled: true, max_nrom: 1}\n'), {
      message: /unknown key "gradient_clipping\.max_nrom"; did you mean "max_norm"\?/,
    });
  });

  test('name ports and hosts one by one', () => {
    const text =
      `${ADDRESSES}${PORTS}server: mini1\nnum_workers: 2\nworkers:\n  regular:\n` +
      '    - {hostname: mini3, rank: 1}\n  tablets:\n    - {hostname: ipad, rank: 2}\n';
    const { config, notes } = parseTrainConfig([{ file: 'c.yaml', text }]);

    assert.deepEqual([config.workers, config.port, config.host], [2, 65_433, '127.0.0.1']);
    assert.match(about(notes, 'port.mini1'), /read as port 65433, of mini1/);
    assert.match(about(notes, 'workers'), /list of 2 host names is read as a count/);
    const list = 'workers: [{hostname: mini3, rank: 1}]\nport: {default: 7000}\n';
    const plain = parseTrainConfig([{ file: 'c.yaml', text: list }]).config;
    assert.deepEqual([plain.workers, plain.port], [1, 7000]);
    assert.throws(() => parseTrainConfig([{ file: 'c.yaml', text: 'port: {mini1: 1}\n' }]), {
      message: /^c\.yaml:1:1 port: expected a number, or ports by host with a default/,
    });
  });

  test('have the global batch that their hosts averaged over', () => {
    const hosts = (topology: string): string =>
      `syncPS:\n  ${ADDRESSES.replaceAll('\n', '\n  ').trimEnd()}\nnum_workers: 3\n${topology}:\n` +
      '  workers:\n    regular:\n' +
      [0, 1, 2].map((rank) => `      - {hostname: mini${rank}, rank: ${rank}}\n`).join('') +
      'num_nodes: 3\nnum_layers: 6\nmodel_name: causal_gpt2\nstaleness_bound: 5\n';
    const batchOf = (text: string): number =>
      parseTrainConfig([network, { file: 'c.yaml', text }]).config.globalBatch;

    assert.equal(batchOf('num_workers: 3\n'), 4 * 32);
    assert.equal(batchOf(hosts('allToAllTopology')), 3 * 32);
    assert.equal(batchOf(hosts('pipelineTopology')), 32);
    const { notes } = parseTrainConfig([
      network,
      { file: 'c.yaml', text: hosts('pipelineTopology') },
    ]);
    assert.match(about(notes, 'batch_size'), /global_batch 32, .* held parts of the model$/);
    assert.match(about(notes, 'num_layers'), /6 is not used: here every worker has the whole/);
  });

  test('describe a language model, on a text that must be given', () => {
    const { config, notes } = parseTrainConfig([gpt], { dataset: './wikitext.txt' });

    const { model, width, layers, heads, feedForward, dropout, sequenceLength } = config;
    assert.deepEqual([model, width, layers, heads, feedForward], ['gpt', 256, [6], 4, 768]);
    assert.deepEqual([dropout, sequenceLength, config.dataset], [0.1, 128, './wikitext.txt']);
    const { optimizer, weightDecay, clipNorm, schedule, warmupSteps, minLr } = config;
    assert.deepEqual([optimizer, weightDecay, clipNorm], ['adamw', 0.01, 1]);
    assert.deepEqual([schedule, warmupSteps, minLr, config.lr], ['cosine', 300, 0.00003, 0.0003]);
    for (const key of ['use_fp16', 'tokenizer', 'project_name', 'decoder_type', 'checkpoint_steps'])
      assert.match(about(notes, key), /is not used: /);
    assert.throws(() => parseTrainConfig([gpt]), {
      message: /dataset_name: expected .* got "wikitext"; give the text as a file: --dataset /,
    });
  });

  test('may be divided into groups, and leave the schedule out', () => {
    const text =
      'model: {model_dim: 64, num_layers: 2, num_heads: 4, ff_dim: 128, max_seq_len: 32}\n' +
      'training: {task: wikitext, batch_size: 8, epochs: 3, learning_rate: 0.01, weight_decay: 0}\n' +
      'lr_schedule: {warmup_iters: 10, min_lr: 0.001}\ndata: {tokenizer: gpt2}\n' +
      'logging: {project_name: p, log_interval: 5}\noutput: {output_dir: null}\n';
    const { config } = parseTrainConfig([{ file: 'g.yaml', text }]);
    const { model, microBatch, globalBatch, epochs, schedule, warmupSteps } = config;
    assert.deepEqual([model, microBatch, globalBatch, epochs], ['gpt', 8, 24, 3]);
    assert.deepEqual([schedule, warmupSteps, config.dataset], ['cosine', 10, 'moby_dick']);

    const flat = GPT.replace('use_lr_scheduler: true', 'use_lr_scheduler: false');
    const plain = parseTrainConfig([{ ...gpt, text: flat }], { dataset: './w.txt' });
    assert.deepEqual([plain.config.schedule, plain.config.warmupSteps], ['constant', 0]);
    assert.match(about(plain.notes, 'warmup_iters'), /300 is not used: use_lr_scheduler is false/);
  });

  test('are refused where the result would be another one', () => {
    const text = GPT.replace('checkpoint: null', 'checkpoint: latest') + 'num_experts: 8\n';

    assert.throws(
      () => parseTrainConfig([{ ...gpt, text }], { dataset: './w.txt' }),
      ({ message }: Error) => {
        assert.deepEqual(message.split('\n'), [
          'gpt_config.yaml:29:1 resume_from_checkpoint: expected nothing: --model takes the ' +
            'model.onnx of an earlier run, got "latest"',
          'gpt_config.yaml:32:1 num_experts: expected a model without a mixture of experts, got 8',
        ]);
        return true;
      },
    );
  });
});

describe('the coordinator', () => {
  test('listens where host_ip says, with a warning; not where each host finds the server', () => {
    const one = parseTrainConfig([cluster], {}, true);
    assert.equal(one.config.host, '0.0.0.0');
    assert.match(
      about(one.notes, 'host_ip'),
      /read as host: .* listens on "0\.0\.0\.0"\. Workers of other machines join by/,
    );
    assert.equal(parseTrainConfig([cluster], { host: '127.0.0.1' }, true).config.host, '127.0.0.1');

    const text = `${ADDRESSES}workers: [mini2, pi5]\n`;
    const several = parseTrainConfig([{ file: 'c.yaml', text }], {}, true);
    assert.equal(several.config.host, '127.0.0.1');
    assert.match(
      about(several.notes, 'host_ip'),
      /stays on loopback unless --lan or --host is given/,
    );
    assert.match(about(several.notes, 'workers'), /`lockstep launch` starts a worker on each/);
  });
});
