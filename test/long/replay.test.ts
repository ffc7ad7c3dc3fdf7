/** A run that is computed again, and what has been changed of it since. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { encodeManifest, parseManifest } from '../../src/checkpoint/manifest.ts';
import { hashFiles } from '../../src/runs/hash-files.ts';
import { type Program, startLockstep, temporaryFolder } from '../cluster/processes.ts';
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

  await t.test('a checkpoint that is whole, and not of this run', async () => {
    const folder = join(run.folder, 'checkpoints/step_40');
    const names = ['manifest.json', 'weights.safetensors', 'optimizer.safetensors'];
    const before = names.map((name) => readFileSync(join(folder, name)));
    await forge(folder);

    const [{ stdout }, status] = await replay('--verify');

    assert.match(stdout, /: NOT as recorded: steps 1 to 60, first at the state after step 40\n/);
    assert.equal(status, 1);
    for (const [i, name] of names.entries()) writeFileSync(join(folder, name), before[i]!);
  });

  await t.test('a bit of a checkpoint', async () => {
    const path = join(run.folder, 'checkpoints/step_40/optimizer.safetensors');
    const bytes = readFileSync(path);
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(path, bytes);

    for (const how of [['--from', '40'], ['--verify']]) {
      const [{ stderr }, status] = await replay(...how);

      assert.match(stderr, /reading step_40\/optimizer\.safetensors: it is damaged/);
      assert.equal(status, 2);
    }
  });
});

test('lockstep replay names the step at which data are others than they were', async (t) => {
  const data = join(temporaryFolder(t), 'table.csv');
  const rows = Array.from({ length: 160 }, (_, i) => `${(i * 37) % 100},${(i * 53) % 71},${i % 2}`);
  const write = (lines: readonly string[]): void =>
    writeFileSync(data, `a,b,class\n${lines.join('\n')}\n`);
  write(rows);
  const sizes = ['--micro-batch', '8', '--global-batch', '16', '--steps', '20', '--workers', '1'];
  const run = startRun(t, [
    '--dataset',
    data,
    '--hidden',
    '8',
    '--checkpoint-every',
    '9',
    ...sizes,
  ]);
  await run.outcome();
  write(rows.with(20, rows[20]!.replace(/^\d/, '9')));

  const program = startLockstep(t, ['replay', run.folder, '--verify']);
  const { status } = await program.end();

  assert.match(program.stdout, /: NOT as recorded: steps 1 to 20, first at step \d+\n/);
  assert.equal(status, 1);
});

/** Changes a weight of a checkpoint, and its manifest with it: every checksum is right. */
async function forge(folder: string): Promise<void> {
  const [manifestPath, path] = ['manifest.json', 'weights.safetensors'].map((n) => join(folder, n));
  const manifest = await parseManifest(readFileSync(manifestPath!), 'manifest');
  const bytes = readFileSync(path!);
  bytes[bytes.length - 2]! ^= 1;
  writeFileSync(path!, bytes);
  const paths = manifest.files.map(({ name }) => join(folder, name));
  const tensors = hashFiles(paths.slice(0, -1));
  const { weightsDigest, stateDigest } = tensors;
  const files = manifest.files.map((file, i) => ({
    ...file,
    sha256: tensors.files[i] ?? file.sha256,
  }));
  const forged = await encodeManifest({ ...manifest, weightsDigest, stateDigest, files });
  writeFileSync(manifestPath!, forged);
}
