import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { parts } from '../patterns.ts';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { decodeGraphFile } from '../../src/graph/file/decode.ts';
import { withoutPreamble } from '../../src/models/preamble.ts';
import type { TensorData } from '../../src/graph/values/types.ts';
import { REPOSITORY, startLockstep, temporaryFolder } from '../cluster/processes.ts';
import { assertSameModel, startRun } from '../cluster/runs.ts';

const NETWORKS = join(REPOSITORY, 'test/fixtures/onnx');
const CNN = join(NETWORKS, 'cnn-13.onnx');
const RUN = ['--dataset', 'mnist', '--steps', '40', '--lr', '0.01', '--seed', '7'];

describe('lockstep train --model file.onnx', () => {
  test(
    'trains a network of PyTorch, BatchNorm and Dropout in training form, to the same bits on ' +
      'any number of workers',
    async (t) => {
      const one = await startRun(t, ['--model', CNN, ...RUN, '--workers', '1']).outcome();
      const run = startRun(t, ['--model', CNN, ...RUN, '--workers', '3']);
      const three = await run.outcome();

      assertSameModel(three, one);
      assert.ok(one.summary.testAccuracy! > 0.8, `accuracy ${one.summary.testAccuracy}`);
      assert.equal(one.summary.model, CNN);
      assert.equal(
        one.summary.modelSha256,
        createHash('sha256').update(readFileSync(CNN)).digest('hex'),
      );
      assert.equal(one.summary.parameters, 1846);
    },
  );

  test('writes a network that ONNX Runtime runs and that trains on from where it is', async (t) => {
    const first = startRun(t, ['--model', CNN, ...RUN, '--workers', '2']);
    const { losses } = await first.outcome();
    const trained = join(first.folder, 'model.onnx');

    const session = await InferenceSession.create(trained);
    const image = new Tensor('uint8', new Uint8Array(5 * 28 * 28), [5, 28, 28]);
    const { scores } = await session.run({ image });
    const again = startRun(t, [
      '--model',
      trained,
      ...RUN,
      '--workers',
      '2',
      '--freeze',
      'conv*,bn*',
    ]);
    const { losses: laterLosses, summary } = await again.outcome();

    assert.deepEqual([session.inputNames, session.outputNames], [['image'], ['scores']]);
    assert.deepEqual(scores!.dims, [5, 10]);
    assert.ok(laterLosses[0]! < losses[0]! / 2, `${laterLosses[0]} after ${losses[0]}`);
    assert.equal(summary.parameters, 1090);
    const [before, after] = [trained, join(again.folder, 'model.onnx')].map(weightsOf);
    assert.deepEqual(after!.get('conv1.weight'), before!.get('conv1.weight'));
    assert.deepEqual(after!.get('bn1.running_mean'), before!.get('bn1.running_mean'));
    assert.notDeepEqual(after!.get('fc.weight'), before!.get('fc.weight'));
  });
});

function weightsOf(path: string): ReadonlyMap<string, TensorData> {
  const { initializers } = withoutPreamble(decodeGraphFile(readFileSync(path))).file;
  return new Map(initializers.map(({ name, data }) => [name, data]));
}

describe('lockstep model', () => {
  test('prints what is in a file, with the names of its weights', async (t) => {
    const program = startLockstep(t, ['model', CNN]);
    const { status } = await program.end();

    const { input, output, weights, weightCount, operators, notes } = JSON.parse(
      program.stdout,
    ) as Record<string, unknown>;

    assert.equal(status, 0, program.stderr);
    assert.deepEqual(input, { name: 'image', type: 'float32', shape: ['batch', 1, 28, 28] });
    assert.deepEqual(output, { name: 'scores', type: 'float32', shape: ['batch', 10] });
    assert.deepEqual((weights as unknown[]).slice(3, 5), [
      { name: 'bn1.bias', shape: [6], role: 'weight' },
      { name: 'bn1.running_mean', shape: [6], role: 'running statistic' },
    ]);
    assert.deepEqual([weightCount, notes], [1846, []]);
    assert.equal((operators as Record<string, number>)['Conv'], 2);
  });
});

describe('an .onnx file that cannot be trained', { concurrency: 2 }, () => {
  interface Mistake {
    readonly title: string;
    readonly status: number;
    readonly says: RegExp;
    /** Puts the file there; without it there is none. */
    readonly make?: (path: string) => void;
    readonly more?: readonly string[];
  }
  const from =
    (name: string) =>
    (path: string): void =>
      copyFileSync(join(NETWORKS, `${name}.onnx`), path);
  const MISTAKES: readonly Mistake[] = [
    { title: 'is not there', status: 2, says: /^error: model net\.onnx: there is no such file\n$/ },
    {
      title: 'is a file of weights only',
      status: 2,
      says: parts(
        /^error: model: expected a path that ends in \.onnx, got net\.pt\. /,
        /Export the network[^\n]*\n$/,
      ),
      more: ['--model', 'net.pt'],
    },
    {
      title: 'is cut off',
      status: 2,
      says: /^error: model net\.onnx: reading ONNX model[^\n]*: expected \d+ bytes, got \d+\n$/,
      make: (path) => {
        from('cnn-13')(path);
        truncateSync(path, 5000);
      },
    },
    {
      title: 'is something else',
      status: 2,
      says: /^error: model net\.onnx: reading ONNX model[^\n]*\n$/,
      make: (path) => writeFileSync(path, 'PK\u0003\u0004 not a model'),
    },
    {
      title: 'is larger than protobuf can be',
      status: 2,
      says: /^error: model net\.onnx: expected at most 2 GiB, got 3221225472 bytes\n$/,
      make: (path) => {
        writeFileSync(path, '');
        truncateSync(path, 3 * 2 ** 30);
      },
    },
    {
      title: 'has an operator that is not known',
      status: 2,
      says: parts(
        /^error: model net\.onnx: LSTM at \/lstm\/LSTM: not an operator that is read\. /,
        /Recurrent layers [^\n]*\n$/,
      ),
      make: from('lstm-17'),
    },
    {
      title: 'takes other samples than the data have',
      status: 2,
      says: new RegExp(
        '^error: model net\\.onnx and the data do not fit: its input image takes numbers ' +
          '\\[3, 8, 8\\][^\n]* \\[1, 28, 28\\]\n$',
      ),
      make: from('residual-11'),
    },
    {
      title: 'has no weight that a pattern names',
      status: 2,
      says: /^error: freeze: no weight is called conv1\. Did you mean "conv1\.weight"\?\n$/,
      make: from('cnn-13'),
      more: ['--freeze', 'conv1'],
    },
  ];
  for (const mistake of MISTAKES) {
    test(`is refused with one message when it ${mistake.title}`, async (t) => {
      const folder = folderWith(t, mistake);

      const program = startLockstep(
        t,
        [
          'train',
          '--model',
          'net.onnx',
          '--dataset',
          'mnist',
          '--steps',
          '3',
          ...(mistake.more ?? []),
        ],
        folder,
      );
      const { status } = await program.end();

      assert.match(program.stderr, mistake.says);
      assert.equal(status, mistake.status);
      assert.equal(program.stdout, '');
      assert.ok(!existsSync(join(folder, 'experiments')), readdirSync(folder).join());
    });
  }

  function folderWith(t: TestContext, { make }: Mistake): string {
    const folder = temporaryFolder(t);
    make?.(join(folder, 'net.onnx'));
    return folder;
  }
});
