/** A run that is computed again, and what has been changed of it since. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Program, startLockstep } from '../cluster/processes.ts';
import { startRun } from '../cluster/runs.ts';

const SETTINGS = ['--dataset', 'digits', '--hidden', '32', '--steps', '60', '--seed', '7'];

test('lockstep replay comes to the same, and names what was changed since', async (t) => {
  const more = ['--checkpoint-every', '20', '--workers', '2', '--lanes', '1'];
  const run = startRun(t, [...SETTINGS, ...more]);
  await run.outcome();
  const records = join(run.folder, 'metrics.jsonl');
  const whole = readFileSync(records, 'utf8');
  const replay = async (...args: readonly string[]): Promise<[Program, number | null]> => {
    const program = startLockstep(t, ['replay', run.folder, '--workers', '1', ...args]);
    return [program, (await program.end()).status];
  };

  await t.test('all of it, with other workers', async () => {
    const [{ stdout }, status] = await replay('--verify', '--lanes', '2');

    assert.match(stdout, /: as recorded: steps 1 to 60, 7 evaluations, \d+ states, bit for bit\n$/);
    assert.equal(status, 0);
    assert.equal(readFileSync(records, 'utf8'), whole, 'the run is only read');
  });

  await t.test('a digit of a loss', async () => {
    const lines = whole.split('\n');
    const at = lines.findIndex((line) => line.includes('"kind":"step","step":47,'));
    lines[at] = lines[at]!.replace(/"lossMean":\d+\.\d/, '"lossMean":9.9');
    writeFileSync(records, lines.join('\n'));

    const [{ stdout }, status] = await replay('--from', '40', '--to', '50');

    assert.match(
      stdout,
      /: NOT as recorded: steps 41 to 50, first at step 47\n  recorded .*lossMean 9\.9/,
    );
    assert.equal(status, 1);
    writeFileSync(records, whole);
  });

  await t.test('a bit of a checkpoint', async () => {
    const path = join(run.folder, 'checkpoints/step_40/optimizer.safetensors');
    const bytes = readFileSync(path);
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(path, bytes);

    const [{ stderr }, status] = await replay('--from', '40');

    assert.match(stderr, /reading step_40\/optimizer\.safetensors: it is damaged/);
    assert.equal(status, 2);
  });
});
