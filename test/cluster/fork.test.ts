/** A run that goes on only if the way to its checkpoint is found right, and variations of it. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import type { RunSummary } from '../../src/runs/run-summary.ts';
import { startLockstep } from './processes.ts';
import { Run, startRun } from './runs.ts';

const SETTINGS = ['--dataset', 'digits', '--hidden', '16', '--steps', '60', '--seed', '7'];
const ONE = ['--workers', '1', '--lanes', '1'];

test('a run with checkpoints', async (t) => {
  const run = startRun(t, [...SETTINGS, ...ONE, '--checkpoint-every', '20', '--keep', '9']);
  const { summary } = await run.outcome();
  const outDir = dirname(run.folder);
  const records = join(run.folder, 'metrics.jsonl');
  const whole = readFileSync(records, 'utf8');
  const fork = (...args: readonly string[]): Run => {
    const program = startLockstep(t, ['fork', 'run', '--out-dir', outDir, ...args, '--json']);
    return new Run(program, join(outDir, args[args.indexOf('--name') + 1]!));
  };
  const forked = async (...args: readonly string[]): Promise<RunSummary> => {
    const { program } = fork(...args);
    assert.equal((await program.end()).status, 0, program.stderr);
    return JSON.parse(program.stdout) as RunSummary;
  };

  await t.test('varied in nothing, from between two of them, ends with the same', async () => {
    const same = await forked('--at', '33', '--name', 'same', '--workers', '2');

    const { stateDigest, testAccuracy, trainLoss, ledger } = same;
    assert.equal(stateDigest, summary.stateDigest);
    assert.deepEqual(
      [testAccuracy, trainLoss, ledger],
      [summary.testAccuracy, summary.trainLoss, summary.ledger],
    );
    assert.deepEqual([same.forkedFrom?.step, same.forkedFrom?.changed], [33, { workers: WORKERS }]);
    assert.equal(readFileSync(records, 'utf8'), whole, 'the run is only read');
  });

  await t.test('varied from one of them is a run of its own, which names it', async () => {
    const other = await forked('--at', '40', '--lr', '0.01', '--name', 'other');

    const { run: parent, step, changed } = other.forkedFrom!;
    assert.deepEqual([parent, step, changed], ['run', 40, { lr: { had: 0.001, has: 0.01 } }]);
    assert.notEqual(other.stateDigest, summary.stateDigest);
    const program = startLockstep(t, ['replay', 'other', '--out-dir', outDir, '--verify']);
    assert.equal((await program.end()).status, 0, program.stderr);
    assert.match(program.stdout, /^other: as recorded: steps 41 to 60, /);
  });

  await t.test('is not varied where its state does not fit, or was never', async () => {
    const refused: readonly (readonly [readonly string[], RegExp])[] = [
      [['--at', '40', '--hidden', '8'], /parameter 0: \S+ \[.*16.*\], and now \S+ \[.*8.*\]\n/],
      [['--at', '99'], /expected a step up to 60, the last that is recorded, got 99\n/],
      [['--steps', '60'], /it is at step 60, and 60 were asked for: nothing is left to be done/],
    ];
    for (const [args, message] of refused) {
      const { program } = fork(...args, '--name', 'none');
      assert.equal((await program.end()).status, 2, program.stderr);
      assert.match(program.stderr, message);
    }
  });

  await t.test('goes on with --verify, and not when its record was changed', async () => {
    const from = join(run.folder, 'checkpoints/step_40');
    const goOn = async (): Promise<[number | null, string]> => {
      const program = startLockstep(t, ['train', '--resume', from, '--verify', ...ONE]);
      return [(await program.end()).status, program.stderr];
    };
    const lines = whole.split('\n');
    const at = lines.findIndex((line) => line.includes('"kind":"step","step":31,'));
    const changed = lines.with(at, lines[at]!.replace(/"lossMean":\d+\.\d/, '"lossMean":9.9'));
    writeFileSync(records, changed.join('\n'));

    const [refused, message] = await goOn();
    const left = readFileSync(records, 'utf8');
    writeFileSync(records, whole);
    const [status, told] = await goOn();

    assert.equal(refused, 2, message);
    assert.match(
      message,
      /computed again from step 20, .* first at step 31\. .*\n {2}recorded .*9\.9/,
    );
    assert.equal(left, changed.join('\n'), 'nothing is changed');
    assert.equal(status, 0, told);
    assert.match(told, /steps 21 to 40 were computed again, and are as recorded, the state too/);
    assert.equal(run.summary().stateDigest, summary.stateDigest);
  });
});

const WORKERS = { had: 1, has: 2 };
