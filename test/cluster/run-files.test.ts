import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parseTrainConfig } from '../../src/config/parse-train-config.ts';
import { decodeGraph, decodeGraphFile } from '../../src/graph/file/decode.ts';
import { mnistFile } from '../mnist-files.ts';
import { Ending } from './owner.ts';
import { type Program, startLockstep, startProgram, temporaryFolder } from './processes.ts';
import { type Outcome, Run, startRun } from './runs.ts';

const FLAGS = {
  steps: '60',
  seed: '7',
  workers: '2',
  hidden: '64,32',
  clipNorm: '5',
  evalEvery: '30',
};

/**
 * Reads the test images as any user of the model would, and classifies them with plain ONNX
 * Runtime.
 */
const CLASSIFY = `
  import { readFileSync } from 'node:fs';
  import { InferenceSession, Tensor } from 'onnxruntime-node';
  const data = process.argv[2] + '/';
  const read = (name, header) => readFileSync(data + name).subarray(header);
  const images = read('t10k-images-idx3-ubyte', 16);
  const labels = read('t10k-labels-idx1-ubyte', 8);
  const session = await InferenceSession.create(process.argv[1]);
  let correct = 0;
  for (let start = 0; start < 10_000; start += 1000) {
    const pixels = images.subarray(784 * start, 784 * (start + 1000));
    const input = new Tensor('uint8', pixels, [1000, 28, 28]);
    const { logits } = await session.run({ input });
    for (let i = 0; i < 1000; i++) {
      const row = logits.data.subarray(10 * i, 10 * i + 10);
      if (row.indexOf(Math.max(...row)) === labels[start + i]) correct++;
    }
  }
  const { inputNames: inputs, outputNames: outputs } = session;
  console.log(JSON.stringify({ accuracy: correct / 10_000, inputs, outputs }));
`;

interface SafetensorsEntry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/** The safetensors format, read from its description. */
function readSafetensors(file: Buffer): {
  readonly metadata: Record<string, string>;
  readonly tensors: ReadonlyMap<
    string,
    { readonly shape: readonly number[]; readonly bytes: Buffer }
  >;
} {
  const headerLength = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.subarray(8, 8 + headerLength).toString()) as Record<
    string,
    unknown
  >;
  const { __metadata__: metadata, ...entries } = header;
  const data = file.subarray(8 + headerLength);
  const tensors = Object.entries(entries as Record<string, SafetensorsEntry>).map(
    ([
      name,
      {
        dtype,
        shape,
        data_offsets: [start, end],
      },
    ]) => {
      assert.equal(dtype, 'F32');
      assert.equal(end - start, 4 * shape.reduce((a, b) => a * b, 1));
      return [name, { shape, bytes: data.subarray(start, end) }] as const;
    },
  );
  return { metadata: metadata as Record<string, string>, tensors: new Map(tensors) };
}

describe('the files of a run', () => {
  let run: Run;
  let outcome: Outcome;
  // The run outlasts the tests that look at it.
  const owner = new Ending();
  before(async () => {
    const flags = Object.entries(FLAGS).flatMap(([key, value]) => [
      `--${key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`,
      value,
    ]);
    run = startRun(owner, flags);
    outcome = await run.outcome();
  });
  after(async () => owner.end());

  function read(...path: string[]): Buffer {
    return readFileSync(join(run.folder, ...path));
  }

  test('are all there, and no other', () => {
    assert.deepEqual(readdirSync(run.folder).sort(), [
      'checkpoints',
      'config.yaml',
      'logs',
      'metrics.jsonl',
      'model.onnx',
      'model.safetensors',
      'step.onnx',
      'summary.json',
    ]);
    assert.deepEqual(readdirSync(join(run.folder, 'logs')).sort(), [
      'rank_0.log',
      'rank_0_metrics.json',
      'rank_1.log',
      'rank_1_metrics.json',
    ]);
    assert.equal(outcome.summary.folder, run.folder);
    assert.ok(existsSync(outcome.summary.folder));
  });

  test('hold a configuration that repeats the run', () => {
    const text = read('config.yaml').toString();
    const given = parseTrainConfig([], { ...FLAGS, outDir: join(run.folder, '..'), name: 'run' });

    const { config, notes } = parseTrainConfig([{ file: 'config.yaml', text }]);

    assert.deepEqual(config, given.config);
    assert.deepEqual(notes, []);
  });

  test('hold a summary with everything that was measured', () => {
    const { summary } = outcome;
    const keys = [
      ...[
        'status',
        'steps',
        'epochs',
        'workers',
        'testAccuracy',
        'testLoss',
        'trainLoss',
        'samplesPerSecond',
      ],
      ...[
        'wallSeconds',
        'parameters',
        'weightsDigest',
        'stateDigest',
        'ledger',
        'events',
        'bytesSent',
        'timeSplit',
      ],
    ];
    for (const key of keys) assert.ok(key in summary, key);
    assert.deepEqual(summary.input, {
      name: 'input',
      type: 'uint8',
      shape: ['batch', 28, 28],
      about: 'bytes of pixels as the files of the data hold them, not scaled: the model does that',
    });
    assert.deepEqual(summary.classNames, Array.from('0123456789'));
    assert.equal(summary.parameters, 784 * 64 + 64 + 64 * 32 + 32 + 32 * 10 + 10);
    assert.equal(summary.steps, 60);
    assert.deepEqual(Object.keys(summary.ledger), ['expected', 'counted', 'dropped', 'duplicated']);
    assert.deepEqual(Object.keys(summary.timeSplit), ['compute', 'communicate', 'wait', 'other']);
    for (const worker of summary.workers) {
      assert.deepEqual(Object.keys(worker), [
        'rank',
        'host',
        'device',
        'lanes',
        'samples',
        'microBatches',
      ]);
      assert.ok(worker.samples > 0);
    }
  });

  test('hold every evaluation and what each rank did in each step', () => {
    const evaluations = run
      .eventsOf('evaluation')
      .map(({ step, sampleCount }) => [step, sampleCount]);
    assert.deepEqual(evaluations, [
      [30, 10_000],
      [60, 10_000],
    ]);
    let samples = 0;
    for (const rank of [0, 1]) {
      assert.match(
        read('logs', `rank_${rank}.log`).toString(),
        new RegExp(`joined run run as rank ${rank} `),
      );
      const records = JSON.parse(read('logs', `rank_${rank}_metrics.json`).toString()) as Record<
        string,
        number
      >[];
      for (const record of records) {
        assert.deepEqual(Object.keys(record), [
          ...['epoch', 'iteration', 'loss', 'throughput', 'iteration_time', 'data_loading_time'],
          ...[
            'forward_time',
            'backward_time',
            'optimizer_time',
            'gpu_utilization',
            'gpu_memory_percent',
          ],
        ]);
        assert.equal(record['loss'], outcome.losses[record['iteration']! - 1]);
        samples += Math.round(record['throughput']! * record['iteration_time']!);
      }
    }
    assert.equal(samples, outcome.summary.ledger.counted);
  });

  test('hold a model that has the reported accuracy in plain ONNX Runtime', async (t) => {
    const model = join(run.folder, 'model.onnx');
    const data = temporaryFolder(t);
    writeFileSync(join(data, 't10k-images-idx3-ubyte'), mnistFile('testImages'));
    writeFileSync(join(data, 't10k-labels-idx1-ubyte'), mnistFile('testLabels'));
    const user = startProgram(t, process.execPath, [
      '--input-type=module',
      '--eval',
      CLASSIFY,
      model,
      data,
    ]);

    const { status } = await user.end();

    assert.equal(status, 0, user.stderr);
    assert.deepEqual(JSON.parse(user.stdout), {
      accuracy: outcome.summary.testAccuracy,
      inputs: ['input'],
      outputs: ['logits'],
    });
  });

  test('hold a model that says what it is', () => {
    const { metadata } = decodeGraphFile(read('model.onnx'));

    const of = (name: string): unknown => JSON.parse(metadata!.get(name) ?? '') as unknown;
    const { name, type, shape, about, scale } = of('input') as Record<string, unknown>;
    assert.deepEqual({ name, type, shape, about }, outcome.summary.input);
    assert.deepEqual(scale, [Math.fround(1 / (255 * 0.3081))]);
    assert.deepEqual(of('output'), { name: 'logits', gives: 'logits' });
    assert.deepEqual(of('classNames'), Array.from('0123456789'));
    assert.equal(metadata!.get('stateDigest'), outcome.summary.stateDigest);
    assert.match(metadata!.get('dataDigest')!, /^[\da-f]{64}:[\da-f]{64}$/);
    assert.deepEqual(
      ['model', 'dataset', 'run', 'task'].map((key) => metadata!.get(key)),
      ['mlp', 'mnist', 'run', 'classification'],
    );
  });

  test('hold the same weights as safetensors', () => {
    const { metadata, tensors } = readSafetensors(read('model.safetensors'));
    const { initializers } = decodeGraph(read('model.onnx'));

    assert.equal(metadata['weightsDigest'], outcome.summary.weightsDigest);
    assert.equal(metadata['stateDigest'], outcome.summary.stateDigest);
    assert.equal(tensors.size, 6);
    for (const [name, { shape, bytes }] of tensors) {
      const initializer = [...initializers].find((tensor) => tensor.name === name)!;
      assert.deepEqual(initializer.shape, shape, name);
      const { buffer, byteOffset, byteLength } = initializer.data;
      assert.ok(bytes.equals(Buffer.from(buffer, byteOffset, byteLength)), name);
    }
  });

  test('hold the compiled step', () => {
    const { inputs, outputs } = decodeGraph(read('step.onnx'));

    assert.deepEqual(inputs.map(({ name }) => name).slice(-3), ['x', 'y', 'sampleWeight']);
    assert.equal(outputs.filter(({ name }) => name.startsWith('gradient.')).length, 6);
  });
});

describe('a folder that has a run in it already', () => {
  const DIGITS = ['--dataset', 'digits', '--seed', '7', '--eval-every', 'never', '--lanes', '1'];

  test('is taken by one of two, and by nobody after it, though it is killed', async (t) => {
    const outDir = temporaryFolder(t);
    const start = (name: string, ...more: readonly string[]): Program =>
      startLockstep(t, [
        ...['train', ...DIGITS, '--workers', '1', '--json', '--out-dir', outDir, '--name', name],
        ...more,
      ]);
    const refused = `error: making the folder of the run: ${join(outDir, 'run')} exists already`;
    const assertRefused = async (program: Program): Promise<void> => {
      assert.equal((await program.end()).status, 2);
      assert.ok(program.stderr.startsWith(refused), program.stderr);
      assert.match(
        program.stderr,
        /(a run is under way there, .*)?\. (Choose|Or choose) another --name\.\n$/,
      );
    };

    // Both at once: one of them has made the folder when the other tries to.
    const both = [start('run', '--epochs', '100000'), start('run', '--epochs', '100000')];
    await Promise.race(both.map(async ({ ended }) => ended));
    const [late] = both.filter(({ isOver }) => isOver);
    const [first] = both.filter(({ isOver }) => !isOver);
    await assertRefused(late!);
    const run = new Run(first!, join(outDir, 'run'));
    await run.reachesStep(20);
    await assertRefused(start('run'));
    const [worker] = (await run.workerIds(1)).values();
    first!.signal('SIGKILL');
    await first!.end();
    process.kill(worker!, 'SIGKILL');

    const left = readFileSync(join(run.folder, 'metrics.jsonl'));
    await assertRefused(start('run'));
    assert.deepEqual(readFileSync(join(run.folder, 'metrics.jsonl')), left);
    const next = new Run(start('next', '--steps', '5'), join(outDir, 'next'));
    assert.equal((await next.outcome()).summary.steps, 5);
  });
});
