import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { VERSION } from '../../src/launch/software.ts';
import { encodeFrameHead } from '../../src/transport/frame.ts';
import {
  type Ending,
  REPOSITORY,
  startLockstep,
  startProgram,
  temporaryFolder,
  waitFor,
} from './processes.ts';
import { mnistFile } from '../mnist-files.ts';
import { lines, parts } from '../patterns.ts';

/** What somebody types, and the one message that answers it. */
interface Mistake {
  readonly title: string;
  readonly args: readonly string[];
  /** All of stderr. */
  readonly says: RegExp;
  /** Files beside the command, by name. */
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
}

/** Refused before anything happens, as the user's mistake. */
const MISTAKES: readonly Mistake[] = [
  {
    title: 'a flag that is not known',
    args: ['train', '--worker', '3'],
    says: /^error: unknown option --worker; did you mean --workers\?\n$/,
  },
  {
    title: 'a folder that is called by its name alone, with no pictures in it',
    args: ['train', '--dataset', 'pictures'],
    files: { 'pictures/readme': '' },
    says: /^error: reading pictures\/readme: expected a folder of images of one class, [^\n]+\n$/,
  },
  {
    title: 'a link that is none, to plan with',
    args: ['plan', '--link', 'fast'],
    says: /^error: --link: expected a rate, [^\n]* as in 200mbit, [^\n]*, got "fast"\n$/,
  },
  {
    title: 'more links than workers, to plan with',
    args: ['plan', '--workers', '1', '--link', '1gbit', '--link', '1gbit'],
    says: /^error: --link: expected at most one for each of 1 workers, got 2; [^\n]+\n$/,
  },
  {
    title: 'a profile of another version, to plan with',
    args: ['plan', '--profile', 'old.json'],
    files: { 'old.json': '{"lockstep_version": "0.0.1"}' },
    says: /^error: --profile: expected in old\.json [^\n]*, got one of Lockstep 0\.0\.1, [^\n]+\n$/,
  },
  {
    title: 'a profile of another machine, to plan for this one with',
    args: ['plan', '--profile', 'other.json'],
    files: {
      'other.json': JSON.stringify({
        ...{ hostname: 'elsewhere', lockstep_version: VERSION, logical_cores: 8 },
        training_steps: [],
      }),
    },
    says: /^error: --profile: expected one of this machine, [^\n]*, got that of elsewhere; --link [^\n]+\n$/,
  },
  {
    title: 'sizes that are none, to profile a step at',
    args: ['profile', '--micro-batch', '16,0'],
    says: /^error: --micro-batch: expected numbers of samples [^\n]*, got "16,0"\n$/,
  },
  {
    title: 'a command to be helped with that is not known',
    args: ['help', 'frobnicate'],
    says: /^error: there is no command frobnicate\. Known: train, coordinator, [^\n]+\n$/,
  },
  {
    title: 'a command that is not known',
    args: ['trian'],
    says: /^error: there is no command trian\. Did you mean "train"\?\n$/,
  },
  {
    title: 'a flag without its value',
    args: ['train', '--workers'],
    says: /^error: option '--workers <int>' argument missing\n$/,
  },
  {
    title: 'a model that is not known',
    args: ['train', '--model', 'resnet'],
    says: /^error: --model: expected one of mlp, [^\n]*got "resnet"; did you mean "resnet18"\?\n$/,
  },
  {
    title: 'a data set that is not known',
    args: ['train', '--dataset', 'mnits'],
    says: /^error: --dataset: expected one of mnist, [^\n]*got "mnits"; did you mean "mnist"\?\n$/,
  },
  {
    title: 'a collective that is planned',
    args: ['train', '--collective', 'mpi'],
    says: /^error: --collective: [^\n]*"mpi" is not available yet in this version; use auto or shm or ring or star\n$/,
  },
  {
    title: 'workers of several machines that are to add up in memory of one',
    args: ['launch', 'hosts.yaml', '--collective', 'shm'],
    files: { 'hosts.yaml': 'hosts: [desk, laptop]\n' },
    says: /^error: collective: shm is for [^\n]* on desk, laptop\. Use auto, [^\n]*, or ring\n$/,
  },
  {
    title: 'a key that is not known in a YAML file, with its line',
    args: ['train', 'config.yaml'],
    files: { 'config.yaml': 'lr: 0.1\nmicro_bach: 3\n' },
    says: /^error: config\.yaml:2:1 unknown key "micro_bach"; did you mean "micro_batch"\?\n$/,
  },
  {
    title: 'several things at once, a line each',
    args: ['train', 'config.yaml', '--seed', 'x'],
    files: { 'config.yaml': 'lr: -1\nepochs: 0\n' },
    says: lines(
      /error: config\.yaml:2:\d+ epochs: expected [^\n]*/,
      /config\.yaml:1:\d+ lr: expected [^\n]*/,
      /--seed: expected [^\n]*/,
    ),
  },
  {
    title: 'a YAML file that is not there',
    args: ['train', 'nowhere.yaml'],
    says: /^error: reading nowhere\.yaml: there is no such file\n$/,
  },
  {
    title: 'a YAML file that is not YAML',
    args: ['train', 'config.yaml'],
    files: { 'config.yaml': 'lr: [1\nepochs: }' },
    says: /^error: config\.yaml:\d+:\d+ [^\n]+\n/,
  },
  {
    title: 'a global batch that is not made of micro-batches',
    args: ['train', '--global-batch', '100'],
    says: parts(
      /^error: --global-batch: expected [^\n]*got global_batch 100 and micro_batch 32; /,
      /nearest: global_batch 96 or 128, or micro_batch 25\n$/,
    ),
  },
  ...(
    [
      ['--workers', '0', 'a whole number 1 to 1024'],
      ['--workers', '2.5', 'a whole number 1 to 1024'],
      ['--lanes', '0', 'a whole number 1 to 1024 or "auto"'],
      ['--lanes', 'many', 'a whole number 1 to 1024 or "auto"'],
      ['--steps', '-1', 'a whole number 1 to 1000000000'],
      ['--epochs', '99999999999', 'a whole number 1 to 1000000'],
      ['--lr', '0', 'a number above 0 to 1000'],
      ['--lr', 'NaN', 'a number above 0 to 1000'],
      ['--lr', '1e999', 'a number above 0 to 1000'],
      ['--seed', '4294967296', 'a whole number 0 to 4294967295'],
      ['--port', '65536', 'a whole number 0 to 65535'],
      ['--name', '../x', 'a folder name'],
    ] as const
  ).map(([flag, value, expected]) => ({
    title: `${flag} ${value}`,
    args: ['train', flag, value],
    says: new RegExp(`^error: ${flag}: expected ${expected}[^\\n]*, got [^\\n]+\\n$`),
  })),
  {
    title: 'a micro-batch larger than the data',
    args: ['train', '--workers', '1', '--micro-batch', '65536', '--global-batch', '65536'],
    says: /^error: micro_batch: expected at most the 60000 training samples, got 65536\n$/,
  },
  {
    title: 'a port of the dashboard that is none',
    args: ['train', '--dashboard', 'config.yaml'],
    says: /^error: --dashboard: expected a whole number from 0 to 65535, got "config\.yaml"\n$/,
  },
  {
    title: 'a dashboard of a run that is not there',
    args: ['dashboard', 'nowhere'],
    says: parts(
      /^error: nowhere: expected the folder of a run, or a folder of runs; there is no such /,
      /folder\.\n$/,
    ),
  },
  {
    title: 'an --out-dir below a file',
    args: ['train', '--out-dir', 'note/runs'],
    files: { note: 'a file' },
    says: parts(
      /^error: making the folder of the run: part of the path note\/runs\/\S+ is a file\. /,
      /Choose another --out-dir\.\n$/,
    ),
  },
  {
    title: 'a door without a key where the internet may come in',
    args: ['coordinator', '--host', '203.0.113.7', '--insecure'],
    says: parts(
      /^error: --insecure: expected a private network, got 203\.0\.113\.7, which the internet may /,
      /reach\. Leave --insecure out: workers then join by a link with a key\n$/,
    ),
  },
  {
    title: 'a worker that is not told whom to join',
    args: ['worker'],
    says: /^error: required option '--join <host:port>' not specified\n$/,
  },
  {
    title: 'an address without a port',
    args: ['worker', '--join', 'desk'],
    says: /^error: --join: expected host:port, got "desk"\. Example: --join desk:29500\n$/,
  },
  {
    title: 'a worker with no lanes',
    args: ['worker', '--join', '127.0.0.1:1', '--lanes', '0'],
    says: /^error: --lanes: expected a whole number from 1 to 1024, got "0"\n$/,
  },
  {
    title: 'a data set to describe that is not known',
    args: ['data', 'mnits'],
    says: /^error: dataset: unknown data set "mnits"\. [^\n]*mnist[^\n]*\n$/,
  },
];

function filesIn(folder: string): ReadonlySet<string> {
  return new Set(readdirSync(folder, { recursive: true, encoding: 'utf8' }));
}

/**
 * Runs a command in a folder of its own; nothing may be printed on stdout or written beside
 * `files`.
 */
async function tryCommand(
  t: TestContext,
  { args, files = {} }: Pick<Mistake, 'args' | 'files'>,
): Promise<Ending & { readonly stderr: string }> {
  const folder = temporaryFolder(t);
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(folder, name, '..'), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
  const before = filesIn(folder);
  const isRun = ['train', 'coordinator'].includes(args[0]!);
  const [command, ...rest] = args;
  const program = startLockstep(t, isRun ? [command!, '--json', ...rest] : args, folder);
  const ending = await program.end();
  assert.equal(program.stdout, '');
  assert.deepEqual(filesIn(folder), before, 'nothing was written');
  assert.doesNotMatch(program.stderr, /^ +at /m, 'no stack trace');
  return { ...ending, stderr: program.stderr };
}

/** A door on this machine that does what `greet` says with who comes in. */
async function openDoor(
  t: TestContext,
  greet: (socket: Socket) => void = () => {},
): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    t.after(() => socket.destroy());
    greet(socket);
  });
  t.after(() => server.close());
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return (server.address() as AddressInfo).port;
}

describe('exit code 2 and one message for', { concurrency: 2 }, () => {
  for (const { title, says, ...mistake } of MISTAKES)
    test(title, async (t) => {
      const { status, stderr } = await tryCommand(t, mistake);

      assert.match(stderr, says);
      assert.equal(status, 2);
    });

  // Node.js 20's own recursive mkdir never returns from here.
  if (process.platform === 'linux')
    test('an --out-dir where nothing can be made', async (t) => {
      const { status, stderr } = await tryCommand(t, {
        args: ['train', '--out-dir', '/proc/nowhere/runs'],
      });

      assert.match(
        stderr,
        /^error: making the folder of the run: ENOENT[^\n]*\. Choose another --out-dir\.\n$/,
      );
      assert.equal(status, 2);
    });

  test('the name of a run that is there already', async (t) => {
    const { status, stderr } = await tryCommand(t, {
      args: ['train', '--out-dir', 'runs', '--name', 'first'],
      files: { 'runs/first/summary.json': '{}' },
    });

    const says =
      'error: making the folder of the run: runs/first exists already. Choose another --name.\n';
    assert.equal(stderr, says);
    assert.equal(status, 2);
  });
});

describe('one message, and exit code 2 where a file is wrong, 1 otherwise, for', () => {
  test('a data file that was changed, with the hash it should have', async (t) => {
    const labels = mnistFile('testLabels');
    labels[5000]! ^= 1;

    const { status, stderr } = await tryCommand(t, {
      args: ['train', '--data-dir', 'data', '--steps', '1'],
      files: { 'data/t10k-labels-idx1-ubyte': labels },
    });

    const says = parts(
      /^error: reading data\/t10k-labels-idx1-ubyte: expected 10008 bytes with SHA-256 ff7bcfd4/,
      /[0-9a-f]{56}, found 10008 bytes with SHA-256 [0-9a-f]{64}; the content was changed\. /,
      /[^\n]+\n$/,
    );
    assert.match(stderr, says);
    assert.equal(status, 2);
  });

  test('a data file that is truncated', async (t) => {
    const labels = mnistFile('trainLabels').subarray(0, 30_000);

    const { status, stderr } = await tryCommand(t, {
      args: ['coordinator', '--data-dir', 'data'],
      files: { 'data/MNIST/raw/train-labels-idx1-ubyte': labels },
    });

    assert.match(
      stderr,
      /^error: reading data\/MNIST\/raw\/train-labels\S+ [^\n]*the file is truncated\. [^\n]+\n$/,
    );
    assert.equal(status, 2);
  });

  test('a port that is in use', async (t) => {
    const port = await openDoor(t);

    const { status, stderr } = await tryCommand(t, {
      args: ['coordinator', '--port', String(port)],
    });

    assert.match(
      stderr,
      new RegExp(
        `^error: listening on 127\\.0\\.0\\.1:${port}: port ${port} is in use\\. ` +
          '[^\\n]*--port[^\\n]*\\n$',
      ),
    );
    assert.equal(status, 1);
  });

  test('a machine that gives the coordinator too little memory, with what to do', async (t) => {
    const folder = temporaryFolder(t);
    const train = `${JSON.stringify(process.execPath)} bin/lockstep.js train --workers 1 --steps 1`;
    // Too little for the guard pages of a single WebAssembly memory.
    const limited = `ulimit -v 3000000 && exec ${train} --dataset linear_regression --out-dir ${JSON.stringify(
      folder,
    )}`;
    await startLockstep(t, ['--version']).end(); // It is built then.

    const program = startProgram(t, 'bash', ['-c', limited]);
    const { status } = await program.end();

    assert.match(
      program.stderr,
      /^error: sums of gradients: reserving \d+ MiB failed: this machine gives no more memory \(.*--lanes[^\n]*\n$/m,
    );
    assert.doesNotMatch(program.stderr, /^ +at /m);
    assert.equal(status, 1);
  });

  test('an address that this machine does not have', async (t) => {
    const { status, stderr } = await tryCommand(t, { args: ['train', '--host', '192.0.2.1'] });

    const says = parts(
      /^error: listening on 192\.0\.2\.1:0: 192\.0\.2\.1 is not an address of this machine\. /,
      /[^\n]+\n$/,
    );
    assert.match(stderr, says);
    assert.equal(status, 1);
  });

  test('a coordinator that is not there, with what was tried and for how long', async (t) => {
    const { status, stderr } = await tryCommand(t, {
      args: ['worker', '--join', '127.0.0.1:1', '--retry', '1'],
    });

    const says = parts(
      /^error: joining 127\.0\.0\.1:1: no coordinator there; tried \d+ times in \d\.\d s /,
      /\(last: connection to 127\.0\.0\.1:1: ECONNREFUSED\)\. [^\n]+\n$/,
    );
    assert.match(stderr, says);
    assert.equal(status, 1);
  });

  test('something else than a coordinator, after the same time', async (t) => {
    const port = await openDoor(t, (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));

    const { status, stderr } = await tryCommand(t, {
      args: ['worker', '--join', `127.0.0.1:${port}`, '--retry', '1'],
    });

    const says = parts(
      /^error: joining \S+: no coordinator there; tried \d+ times in /,
      /[^\n]*got other bytes[^\n]*\n$/,
    );
    assert.match(stderr, says);
    assert.equal(status, 1);
  });

  test('a coordinator that refuses, at once', async (t) => {
    const reason = 'protocol versions differ: the coordinator speaks 999, the worker 1.';
    const port = await openDoor(t, (socket) =>
      socket.end(encodeFrameHead({ kind: 'refused', reason })),
    );

    const { status, stderr } = await tryCommand(t, {
      args: ['worker', '--join', `127.0.0.1:${port}`],
    });

    assert.equal(stderr, `error: joining 127.0.0.1:${port}: refused: ${reason}\n`);
    assert.equal(status, 1);
  });
});

describe('lockstep worker', () => {
  test('ends at once with exit code 130 on Ctrl-C while it looks for a coordinator', async (t) => {
    let visits = 0;
    const port = await openDoor(t, (socket) => {
      visits++;
      socket.destroy();
    });
    const worker = startLockstep(t, ['worker', '--join', `127.0.0.1:${port}`, '--retry', '60']);

    await waitFor('a visit', () => visits > 0);
    worker.signal('SIGINT');
    const { status } = await worker.end();

    assert.equal(status, 130);
    assert.match(worker.stderr, /done: the worker was interrupted\n$/);
  });
});

describe('docs/errors.md', () => {
  test('explains every error code, and no other', () => {
    const source = readFileSync(join(REPOSITORY, 'src/base/errors.ts'), 'utf8');
    const page = readFileSync(join(REPOSITORY, 'docs/errors.md'), 'utf8');

    const codes = [...source.matchAll(/^  \| '([A-Z_]+)'/gm)].map(([, code]) => code!);
    const explained = [...page.matchAll(/^- \*\*`([A-Z_]+)`/gm)].map(([, code]) => code!);

    assert.ok(codes.length > 10);
    assert.deepEqual(new Set(explained), new Set(codes));
  });
});
