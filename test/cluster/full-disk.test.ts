/**
 * A run whose disk is full, or whose folder goes away. A limit on the size of its files stands for the disk: it needs no
 * rights to be set.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { Program, REPOSITORY, temporaryFolder } from './processes.ts';
import type { RunSummary } from '../../src/runs/run-summary.ts';
import { Run, startRun } from './runs.ts';

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

/** The run has finished, but not with all its files: gives what it printed. */
async function assertFinished(run: Run, steps: number): Promise<RunSummary> {
  const { status } = await run.program.end();
  assert.equal(status, 3, run.program.stderr);
  assert.doesNotMatch(run.program.stderr, /error:/);
  await run.assertNothingLeft();
  const summary = JSON.parse(run.program.stdout) as RunSummary;
  assert.deepEqual([summary.status, summary.steps], ['finished', steps]);
  assert.match(summary.weightsDigest ?? '', /^[0-9a-f]{64}$/);
  return summary;
}

/** The lines on stderr that tell of a file. */
function warningsOf(run: Run): string[] {
  return run.program.stderr.split('\n').filter((line) => line.startsWith('! '));
}

describe('a run whose disk is full', () => {
  test('goes on when the metrics do not fit, and leaves whole lines and the model', async (t) => {
    const run = startLimitedRun(t, 16, ['--steps', '200', '--json']);

    const summary = await assertFinished(run, 200);

    assert.deepEqual(
      summary.fileFailures?.map(({ file }) => file),
      ['metrics.jsonl', 'logs/rank_*_metrics.json'],
    );
    assert.deepEqual(run.summary(), summary);
    const warnings = warningsOf(run).filter((line) => line.startsWith('! metrics.jsonl: '));
    assert.equal(warnings.length, 2, 'when it began, and at the end what is missing');
    assert.match(warnings[1]!, /; \d+ records are missing$/);
    assert.ok(readFileSync(join(run.folder, 'metrics.jsonl'), 'utf8').endsWith('}\n'));
    const steps = run.eventsOf('step').map(({ step }) => step);
    assert.deepEqual(
      steps,
      Array.from({ length: steps.length }, (_, index) => index + 1),
      'no step is missing in between',
    );
    for (const rank of [0, 1]) {
      const path = join(run.folder, 'logs', `rank_${rank}_metrics.json`);
      assert.ok(Array.isArray(JSON.parse(readFileSync(path, 'utf8'))), path);
    }
    assert.ok(existsSync(join(run.folder, 'model.onnx')));
  });

  test('puts the model where there is room, and says where', async (t) => {
    const run = startRun(t, [...SMALL, '--steps', '40', '--json']);
    await run.reachesStep(1);
    for (const name of ['model.onnx', 'model.safetensors', 'summary.json'])
      symlinkSync('/dev/full', join(run.folder, `${name}.partial`));

    const { folder, modelFolder, fileFailures } = await assertFinished(run, 40);

    assert.equal(folder, run.folder);
    assert.equal(fileFailures?.length, 3);
    assert.ok(modelFolder !== undefined);
    assert.ok(modelFolder.startsWith(`${run.folder}-saved-`), modelFolder);
    for (const file of ['model.onnx', 'model.safetensors', 'summary.json', 'config.yaml'])
      assert.ok(existsSync(join(modelFolder, file)), file);
    assert.ok(
      run.program.stderr.includes(`! model.onnx: the disk is full; it is in ${modelFolder}`),
    );
  });

  test('fails with one message when the model fits nowhere, and leaves no part', async (t) => {
    const run = startLimitedRun(t, 64, ['--steps', '5', '--hidden', '3000', '--json']);

    await assertCleanEnd(run, 'model.onnx');

    assert.equal(run.eventsOf('step').length, 5);
    assert.deepEqual([run.summary().status, run.summary().code], ['failed', 'FILE_FAILED']);
    const left = readdirSync(run.folder).filter(
      (name) => name.startsWith('model.') || name.includes('partial'),
    );
    assert.deepEqual(left, []);
    assert.deepEqual(readdirSync(join(run.folder, '..')), ['run'], 'no other folder is left');
  });

  test('leaves nothing when it could not even begin', async (t) => {
    const run = startLimitedRun(t, 1, ['--steps', '5', '--json']);

    await assertCleanEnd(run, 'config.yaml');

    assert.ok(!existsSync(run.folder));
  });
});

describe('a run whose folder is deleted', () => {
  test('says so at once, goes on elsewhere, and has recorded every step', async (t) => {
    const run = startRun(t, [...SMALL, '--steps', '100000', '--json']);
    await run.reachesStep(1);
    rmSync(run.folder, { recursive: true });
    writeFileSync(run.folder, 'in the way');

    const [, home] = await run.program.saying(/^! .* deleted.*; the run goes on in (\S+)$/m);
    run.program.signal('SIGINT');
    const { status } = await run.program.end();

    assert.equal(status, 130, run.program.stderr);
    const moved = new Run(run.program, home!);
    const summary = moved.summary();
    assert.deepEqual(JSON.parse(run.program.stdout), summary);
    assert.deepEqual([summary.status, summary.folder], ['interrupted', home]);
    assert.deepEqual(
      moved.eventsOf('step').map(({ step }) => step),
      Array.from({ length: summary.steps }, (_, index) => index + 1),
      'those from before, too',
    );
    await moved.assertNothingLeft();
  });
});

describe('a run whose logs cannot be written', () => {
  test('starts a worker again all the same, and goes on with it', async (t) => {
    const run = startRun(t, [...SMALL, '--steps', '100000']);
    const workers = await run.workerIds(2);
    await run.reachesStep(5);
    const log = join(run.folder, 'logs', 'rank_1.log');

    // A device that is always full takes the place of the log.
    rmSync(log);
    symlinkSync('/dev/full', log);
    const old = workers.get(1)!;
    process.kill(old, 'SIGKILL');
    const isAgain = (event: { rank: number; processId: number }): boolean =>
      event.rank === 1 && event.processId !== old;
    const { step } = await run.event('worker-joined', isAgain);
    await run.reachesStep(step + 5);

    run.program.signal('SIGINT');
    assert.equal((await run.program.end()).status, 130, run.program.stderr);
    assert.match(run.program.stderr, /rank 1 is started again in .*: killed with SIGKILL/);
    await run.assertNothingLeft();
  });
});
