import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, describe, test } from 'node:test';
import { ConfigError } from '../../base/errors.ts';
import { checkWritable, saveOutput, writeOutput } from './output-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'lockstep-output-'));
after(() => rmSync(folder, { recursive: true }));

describe('checkWritable', () => {
  test('leaves nothing behind, whatever it says', () => {
    checkWritable('--output', join(folder, 'new/deep/report.json'));

    assert.deepEqual(readdirSync(folder), []);
  });

  test('refuses a folder, a path below a file, and a file system that takes nothing', () => {
    writeFileSync(join(folder, 'file'), '');
    const refused = [folder, join(folder, 'file/report.json'), ''];
    if (existsSync('/proc/self')) refused.push('/proc/none/report.json');
    for (const path of refused)
      assert.throws(() => checkWritable('--output', path), ConfigError, path);
  });
});

describe('writeOutput', () => {
  test('makes the folder and writes the whole file', () => {
    writeOutput(join(folder, 'made/deep/report.json'), 'text');

    assert.equal(readFileSync(join(folder, 'made/deep/report.json'), 'utf8'), 'text');
    assert.deepEqual(readdirSync(join(folder, 'made/deep')), ['report.json']);
  });
});

describe('saveOutput', () => {
  test('writes elsewhere what its place does not take, and says where', (t) => {
    const inTheWay = join(folder, 'in-the-way');
    writeFileSync(inTheWay, '');
    const path = join(inTheWay, 'report.json');
    assert.deepEqual(saveOutput(join(folder, 'fits.json'), 'text'), {
      path: join(folder, 'fits.json'),
      problem: undefined,
    });

    const saved = saveOutput(path, 'text');
    t.after(() => rmSync(dirname(saved.path), { recursive: true }));

    assert.equal(readFileSync(saved.path, 'utf8'), 'text');
    assert.ok(saved.problem?.startsWith(`${path}: `));
    assert.ok(saved.problem?.includes(`it is in ${dirname(saved.path)}`));
  });
});
