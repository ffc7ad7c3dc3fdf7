/**
 * A run whose disk is full. A limit on the size of its files stands for the disk: it needs no
 * rights to be set.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { Program, REPOSITORY, temporaryFolder } from './processes.ts';
import { Run } from './runs.ts';

const SMALL = [
  ...['--model', 'mlp', '--dataset', 'synthetic_regression', '--hidden', '8'],
  ...['--micro-batch', '4', '--global-batch', '32', '--workers', '2', '--lanes', '1'],
];

/** Starts a run of which no file can be larger than so many KiB. */
function startLimitedRun(t: TestContext, kib: number, args: readonly string[]): Run {
  const outDir = temporaryFolder(t);
  const lockstep = [
    process.execPath,
    join(REPOSITORY, 'bin/lockstep.js'),
    'train',
    ...SMALL,
    ...args,
  ];
  const child = spawn(
    'bash',
    [
      '-c',
      `ulimit -f ${kib}; exec "$@"`,
      'bash',
      ...lockstep,
      '--out-dir',
      outDir,
      '--name',
      'run',
    ],
    { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, LOCKSTEP_NO_BUILD: '1' } },
  );
  t.after(() => child.kill('SIGKILL'));
  return new Run(new Program(child), join(outDir, 'run'));
}

/** The run has ended with one message about `file`, and nothing of it is left running. */
async function assertCleanEnd(run: Run, file: string): Promise<void> {
  const { status } = await run.program.end();
  assert.equal(status, 1, run.program.stderr);
  const lines = run.program.stderr.trimEnd().split('\n');
  const errors = lines.filter((line) => line.startsWith('error:'));
  assert.equal(errors.length, 1, run.program.stderr);
  assert.ok(errors[0]!.startsWith(`error: writing ${join(run.folder, file)}: `), errors[0]);
  assert.doesNotMatch(run.program.stderr, /\n\s+at /, 'no stack trace');
  assert.equal(run.program.stdout, '');
  await run.assertNothingLeft();
}

describe('a run whose disk is full', () => {
  test('ends with one message when the metrics do not fit, and leaves whole lines', async (t) => {
    const run = startLimitedRun(t, 64, ['--steps', '100000', '--json']);

    await assertCleanEnd(run, 'metrics.jsonl');

    const text = readFileSync(join(run.folder, 'metrics.jsonl'), 'utf8');
    assert.ok(text.endsWith('}\n'));
    const steps = run.eventsOf('step').map(({ step }) => step);
    assert.deepEqual(
      steps,
      Array.from({ length: steps.length }, (_, index) => index + 1),
      'no step is missing',
    );
    const summary = run.summary();
    assert.deepEqual([summary.status, summary.code], ['failed', 'FILE_FAILED']);
    assert.ok(summary.steps >= steps.length);
    for (const rank of [0, 1]) {
      const path = join(run.folder, 'logs', `rank_${rank}_metrics.json`);
      assert.ok(Array.isArray(JSON.parse(readFileSync(path, 'utf8'))), path);
    }
  });

  test('ends with one message when the model does not fit, and leaves no part of it', async (t) => {
    const run = startLimitedRun(t, 64, ['--steps', '5', '--hidden', '3000', '--json']);

    await assertCleanEnd(run, 'model.onnx');

    assert.equal(run.eventsOf('step').length, 5);
    assert.deepEqual([run.summary().status, run.summary().code], ['failed', 'FILE_FAILED']);
    const left = readdirSync(run.folder).filter(
      (name) => name.startsWith('model.') || name.includes('partial'),
    );
    assert.deepEqual(left, []);
  });

  test('leaves nothing when it could not even begin', async (t) => {
    const run = startLimitedRun(t, 1, ['--steps', '5', '--json']);

    await assertCleanEnd(run, 'config.yaml');

    assert.ok(!existsSync(run.folder));
  });
});
