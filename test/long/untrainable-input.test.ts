/**
 * Input that cannot be trained on: one message each, the exit code that belongs to it, and nothing
 * left behind.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { ProtoWriter } from '../../src/graph/file/proto-writer.ts';
import { startLockstep, temporaryFolder, waitFor } from '../cluster/processes.ts';
import { lines } from '../patterns.ts';
import { type Outcome, startRun } from '../cluster/runs.ts';

type Files = Readonly<Record<string, string | Uint8Array>>;

/** What somebody types, and all of what is said to it. */
interface Mistake {
  readonly args: readonly string[];
  readonly says: RegExp;
  readonly files?: Files;
}

function folderWith(t: TestContext, files: Files): string {
  const folder = temporaryFolder(t);
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
  return folder;
}

const filesIn = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();

/** Tries to train in a folder of its own; `meanwhile` is done while it runs. */
async function assertRefused(
  t: TestContext,
  { args, says, files = {} }: Mistake,
  code: number,
  meanwhile?: () => Promise<void>,
): Promise<void> {
  const folder = folderWith(t, files);
  const before = filesIn(folder);

  const program = startLockstep(t, ['train', '--json', ...args], folder);
  await meanwhile?.();
  const { status } = await program.end();

  assert.match(program.stderr, says);
  assert.deepEqual([status, program.stdout], [code, '']);
  assert.deepEqual(filesIn(folder), before, 'nothing was written');
}

function family(title: string, code: number, mistakes: Readonly<Record<string, Mistake>>): void {
  describe(title, { concurrency: 2 }, () => {
    for (const [name, mistake] of Object.entries(mistakes))
      test(name, (t) => assertRefused(t, mistake, code));
  });
}

const only = (message: string): RegExp => new RegExp(`^error: ${message}\\n$`);

family('a model that the data do not fit, with both shapes', 2, {
  'tokens for a network of images': {
    args: ['--model', 'resnet18', '--dataset', 'synthetic_text'],
    says: only(
      'model resnet18 and the data do not fit: expected images \\[channels, height, width\\], ' +
        'got samples of tokens 0 to 999 \\[128\\]; for such data: embedding, bert, gpt2',
    ),
  },
  'images for a language model': {
    args: ['--model', 'gpt', '--dataset', 'digits'],
    says: only(
      'model gpt and [^\\n]+ expected tokens \\[length\\], got samples of numbers \\[1, 8, ' +
        '8\\]; [^\\n]+',
    ),
  },
  'images that are too small': {
    args: ['--model', 'simple_cnn', '--dataset', 'synthetic_image', '--image-size', '4'],
    says: only(
      'model simple_cnn and [^\\n]+, 8 by 8 at least, got samples of numbers \\[3, 4, 4\\]; ' +
        '[^\\n]+',
    ),
  },
  'a token table that is too small': {
    args: [
      '--model',
      'bert',
      '--dataset',
      'synthetic_text',
      '--token-table',
      '100',
      '--micro-batch',
      '32',
    ],
    says: only(
      'model bert and [^\\n]+ token_table has 100 rows, the data have a vocabulary of 1000; ' +
        '[^\\n]+',
    ),
  },
  'sequences that are too long': {
    args: [
      '--model',
      'gpt2',
      '--dataset',
      'synthetic_text',
      '--sequence-length',
      '2000',
      '--micro-batch',
      '32',
    ],
    says: only('model gpt2 and [^\\n]+ position_table has 1024 rows, [^\\n]+ 2000 tokens; [^\\n]+'),
  },
});

/** An array in NumPy's file format. */
function npy(type: '<i4' | '<f4', shape: readonly number[], values: readonly number[]): Uint8Array {
  const header =
    `{'descr': '${type}', 'fortran_order': False, 'shape': (${shape.join(', ')},), }`.padEnd(117);
  const data = type === '<i4' ? Int32Array.from(values) : Float32Array.from(values);
  return Buffer.concat([
    Buffer.from('\x93NUMPY\x01\x00', 'latin1'),
    Uint8Array.of(118, 0),
    Buffer.from(`${header}\n`, 'latin1'),
    Buffer.from(data.buffer),
  ]);
}

const ROWS = 20;
const numbers = (at: number, value: number): number[] =>
  Array.from({ length: ROWS }, (_, i) => (i === at ? value : i % 3));
const labels = (at: number, label: number): Files => ({
  'own/x.npy': npy('<f4', [ROWS, 1], numbers(0, 0)),
  'own/y.npy': npy('<i4', [ROWS], numbers(at, label)),
});

family('arrays of which something is out of range', 2, {
  'a label that no class has': {
    args: ['--dataset', './own', '--classes', '3'],
    files: labels(7, 3),
    says: only('\\S*own\\S*: sample 7: expected a label from 0 to 2 [^\\n]+, found 3'),
  },
  'a label below 0': {
    args: ['--dataset', './own', '--classes', '3'],
    files: labels(11, -1),
    says: only('\\S*own\\S*: sample 11: expected a label from 0 to 2 [^\\n]+, found -1'),
  },
  'a token beyond the vocabulary': {
    args: ['--model', 'embedding', '--dataset', './own', '--vocabulary', '5'],
    files: { ...labels(0, 0), 'own/x.npy': npy('<i4', [ROWS, 1], numbers(13, 5)) },
    says: only('\\S*own\\S*: sample 13: expected a token from 0 to 4 [^\\n]+, found 5'),
  },
  'a number that is none': {
    args: ['--dataset', './own'],
    files: { ...labels(0, 0), 'own/x.npy': npy('<f4', [ROWS, 1], numbers(5, Number.NaN)) },
    says: only('\\S*own\\S*: sample 5: expected finite float32 numbers, found NaN\\. [^\\n]+'),
  },
});

/** A model of opset 17 whose graph is what `write` puts into it. */
function onnx(write: (graph: ProtoWriter) => void): Uint8Array {
  const model = new ProtoWriter();
  model.message(8, (opset) => opset.int(2, 17));
  model.message(7, write);
  return model.finish();
}

function node(
  graph: ProtoWriter,
  operator: string,
  input: string,
  output: string,
  domain = '',
): void {
  graph.message(1, (out) => {
    out.string(1, input);
    out.string(2, output);
    out.string(3, `the-${operator}`);
    out.string(4, operator);
    out.string(7, domain);
  });
}

const NETWORK = ['--model', 'net.onnx', '--dataset', 'digits'];

family('a hostile .onnx file', 2, {
  'with weights in another file of this machine': {
    args: NETWORK,
    files: {
      'net.onnx': onnx((graph) =>
        graph.message(5, (tensor) => {
          tensor.int(1, 4);
          tensor.int(2, 1);
          tensor.string(8, 'secret');
          tensor.message(13, (entry) => {
            entry.string(1, 'location');
            entry.string(2, '../../etc/passwd');
          });
          tensor.int(14, 1);
        }),
      ),
    },
    says: only('model net\\.onnx: [^\\n]*secret[^\\n]*external[^\\n]*'),
  },
  'with an operator of a foreign domain': {
    args: NETWORK,
    files: { 'net.onnx': onnx((graph) => node(graph, 'Gelu', 'x', 'y', 'com.microsoft')) },
    says: only(
      'model net\\.onnx: Gelu at the-Gelu: expected an operator of the standard domain, got ' +
        'com\\.microsoft[^\\n]*',
    ),
  },
  'with a weight that would fill the memory': {
    args: NETWORK,
    files: {
      'net.onnx': onnx((graph) =>
        graph.message(5, (tensor) => {
          tensor.int(1, 2 ** 20);
          tensor.int(1, 2 ** 20);
          tensor.int(2, 1);
          tensor.string(8, 'huge');
        }),
      ),
    },
    says: only('model net\\.onnx: [^\\n]*huge[^\\n]*'),
  },
  'with nodes in a circle': {
    args: NETWORK,
    files: {
      'net.onnx': onnx((graph) => {
        node(graph, 'Relu', 'b', 'a');
        node(graph, 'Tanh', 'a', 'b');
      }),
    },
    says: only('model net\\.onnx: [^\\n]*circular[^\\n]*'),
  },
});

const GOOD_ROWS = Array.from(
  { length: 60 },
  (_, i) => `${i / 10},${i % 7},${i % 2 === 0 ? 'even' : 'odd'}\n`,
);
const TABLE = [
  'a,b,label\n',
  ...GOOD_ROWS.slice(0, 30),
  'x,1,odd\n',
  ...GOOD_ROWS.slice(30),
  '1,2\n',
].join('');
const BAD_ROWS =
  'line 32: column 1: expected a number, found "x"; line 63: expected 3 cells, found 2';

family('a table with bad rows', 2, {
  'is not used, and the lines are named': {
    args: ['--dataset', 'table.csv'],
    files: { 'table.csv': TABLE },
    says: only(
      `reading table\\.csv: 2 of 62 rows cannot be used: ${BAD_ROWS}\\. Correct them, or ` +
        'leave them out with --on-bad-row skip\\.',
    ),
  },
});

test('a table with bad rows is used without them when told so, and counts the same', async (t) => {
  const outcomes: Outcome[] = [];
  for (const [table, isSkipping] of [
    [TABLE, true],
    [`a,b,label\n${GOOD_ROWS.join('')}`, false],
  ] as const) {
    const path = join(folderWith(t, { 'table.csv': table }), 'table.csv');
    const run = startRun(t, [
      ...[
        '--dataset',
        path,
        '--on-bad-row',
        isSkipping ? 'skip' : 'stop',
        '--hidden',
        '8',
        '--epochs',
        '1',
      ],
      ...['--micro-batch', '6', '--global-batch', '12', '--workers', '1'],
    ]);
    outcomes.push(await run.outcome());
    assert.equal(
      run.program.stderr.includes(`table.csv: 2 of 62 rows skipped (${BAD_ROWS})`),
      isSkipping,
    );
  }

  const [skipped, clean] = outcomes.map(({ summary }) => summary);
  assert.equal(skipped!.ledger.counted, 54);
  assert.equal(skipped!.stateDigest, clean!.stateDigest);
});

family('a folder of images with something else in it', 2, {
  'is not used, and the file is named': {
    args: ['--model', 'simple_cnn', '--dataset', './pictures'],
    files: { 'pictures/README.md': '# Cats and dogs' },
    says: only(
      'reading \\S*README\\.md: expected a folder of images of one class, found a file\\. [^\\n]+',
    ),
  },
});

family('a setting that does nothing', 2, {
  'is noted by its flag': {
    args: ['--freeze', 'fc*', '--dataset', 'nowhere.csv'],
    says: lines(
      /note: --freeze: \["fc\*"\] has no effect with model mlp; it needs --model \*\.onnx/,
      /error: dataset: [^\n]+/,
    ),
  },
});

const absent = process.platform === 'win32' ? 'coreml' : 'dml';
family('a device that this machine does not have', 2, {
  'is named, with the reason': {
    args: ['--device', `cpu,${absent}`],
    says: only(
      `--device ${absent}: not available on this machine: [^\\n]+ \`lockstep devices\` [^\\n]+`,
    ),
  },
});

/**
 * Sends every address that `lockstep` fetches to a server of the test, which takes note of the
 * ranges asked for.
 */
async function withNetwork(
  t: TestContext,
  answer: (response: ServerResponse) => void,
): Promise<string[]> {
  const ranges: string[] = [];
  const server = createServer((request, response) => {
    ranges.push(request.headers.range ?? 'all');
    answer(response);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const script = `const f=fetch;globalThis.fetch=(_,o)=>f('http://127.0.0.1:${port}/',o)`;
  setVariable(t, 'NODE_OPTIONS', `--import=data:text/javascript,${encodeURIComponent(script)}`);
  return ranges;
}

/** Sets a variable of the environment that processes started by the test inherit. */
function setVariable(t: TestContext, name: string, value: string): void {
  const before = process.env[name];
  process.env[name] = value;
  t.after(() => {
    if (before === undefined) delete process.env[name];
    else process.env[name] = before;
  });
}

test('a download that breaks off is not used, but continued by the next run', async (t) => {
  const cache = temporaryFolder(t);
  setVariable(t, 'XDG_CACHE_HOME', cache);
  const part = join(cache, 'lockstep/cifar10/cifar-10-binary.tar.gz.part');
  const held: ServerResponse[] = [];
  let isHolding = true;
  const ranges = await withNetwork(t, (response) => {
    response.writeHead(200, { 'content-length': 170_052_171 }).write(Buffer.alloc(5000));
    if (isHolding) held.push(response);
    else response.destroy();
  });
  const mistake: Mistake = {
    args: ['--dataset', 'cifar10'],
    says: lines(
      /error: cifar10: cifar-10-binary\.tar\.gz is nowhere to be had\.(?:\n {2}- [^\n]+)*/,
      / {2}- downloading [^\n]+: (?:terminated|fetch failed) [^\n]+/,
      /[^\n]+--data-dir\./,
    ),
  };

  await assertRefused(t, mistake, 2, async () => {
    await waitFor('the first bytes', () => existsSync(part) && statSync(part).size === 5000);
    isHolding = false;
    for (const response of held) response.destroy();
  });
  const rangesBefore = ranges.splice(0);
  await assertRefused(t, mistake, 2);

  assert.equal(rangesBefore[0], 'all');
  assert.deepEqual(new Set(ranges), new Set(['bytes=5000-']));
});
