import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { within } from './bounded-file.ts';
import { readLettersDirectory, readLettersFile } from './letters-directory.ts';
import { writeLettersDirectory } from './packed-letters.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'letters-'));
});
afterEach(() => rm(folder, { recursive: true }));

async function write(files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
}

describe('writeLettersDirectory', () => {
  test('writes 11 files of 1500 rows and 3500 rows to validate with, every class in each', async () => {
    await writeLettersDirectory(folder);
    const { train, validate } = await readLettersDirectory(folder, 26);

    assert.deepEqual(
      train.map(({ name }) => name),
      Array.from({ length: 11 }, (_, i) => `train_letters${i + 1}.txt`),
    );
    assert.deepEqual(
      train.map(({ rows }) => rows.count),
      train.map(() => 1500),
    );
    assert.equal(validate.rows.count, 3500);
    for (const { rows } of [...train, validate]) assert.equal(new Set(rows.labels).size, 26);
    const text = await readFile(join(folder, 'train_letters1.txt'), 'latin1');
    assert.match(text, /^2,8,3,5,1,8,13,0,6,6,10,8,0,8,0,8,19\n/);
    assert.ok(text.endsWith('\n'));
  });

  test('leaves a directory alone that has other training files', async () => {
    await write({ train_letters_mine: '', 'train_letters99.txt': '1,1\n' });

    await assert.rejects(writeLettersDirectory(folder), /train_letters99\.txt is there already/);
    assert.equal((await readdir(folder)).length, 2);
  });
});

describe('readLettersDirectory', () => {
  test('orders files by their numbers', async () => {
    await write({
      'train_letters10.txt': '1,1\n',
      'train_letters9.txt': '1,1\n',
      'validate_letters.txt': '1,1\n',
    });

    const { train } = await readLettersDirectory(folder, 26);

    assert.deepEqual(
      train.map(({ name }) => name),
      ['train_letters9.txt', 'train_letters10.txt'],
    );
  });

  test('names what is missing', async () => {
    await assert.rejects(
      readLettersDirectory(join(folder, 'none'), 26),
      /none: expected a directory .*it is not there/,
    );
    await assert.rejects(
      readLettersDirectory(folder, 26),
      /expected 1 to 10000 training files .*found 0/,
    );
    await write({ 'train_letters1.txt': '1,1\n' });
    await assert.rejects(
      readLettersDirectory(folder, 26),
      /validate_letters\.txt: it is not there/,
    );
  });

  test('wants the same width in every file', async () => {
    await write({
      'train_letters1.txt': '1,2,1\n',
      'train_letters2.txt': '1,1\n',
      'validate_letters.txt': '1,2,1\n',
    });

    await assert.rejects(readLettersDirectory(folder, 26), {
      code: 'DATA_INVALID',
      message:
        /^train_letters2\.txt, first row: expected 2 numbers and a class, .* got fewer values/,
    });
  });
});

describe('readLettersFile', () => {
  const how = { name: 'named', classes: 26 };
  const refused = async (path: string, message: RegExp): Promise<void> =>
    assert.rejects(readLettersFile(path, how), { code: 'DATA_INVALID', message });

  test('refuses at once what is no file: a device, a pipe, a folder', async () => {
    const pipe = join(folder, 'pipe');
    execFileSync('mkfifo', [pipe]);

    for (const path of ['/dev/zero', pipe, folder])
      await refused(path, /^reading .*: expected a file, and this is none$/);
  });

  test('refuses a file that is too large before it is read, and one that says it is empty', async () => {
    await write({ large: '' });
    await truncate(join(folder, 'large'), (64 << 20) + 1);

    await refused(join(folder, 'large'), /expected a file of at most 67108864 bytes$/);
    if (process.platform === 'linux')
      await refused('/proc/self/status', /its size changed while it was read/);
  });
});

describe('within', () => {
  test('follows paths that stay inside the folder, relative ones from there', async () => {
    await mkdir(join(folder, 'deep/er'), { recursive: true });
    await write({ 'deep/er/a.txt': '1,1\n' });
    await symlink('deep', join(folder, 'link'));
    await symlink(folder, `${folder}-link`);

    try {
      for (const root of [folder, `${folder}/deep/../`, `${folder}-link`])
        for (const path of ['deep/er/a.txt', 'link/er/../er/a.txt', join(folder, 'deep/er/a.txt')])
          assert.equal(await within(root)(path), join(folder, 'deep/er/a.txt'));
    } finally {
      await rm(`${folder}-link`);
    }
  });

  test('refuses ways out in the same words, whether something is there or not', async () => {
    const root = join(folder, 'data');
    await mkdir(root);
    await mkdir(join(folder, 'data-2'));
    await write({ 'data-2/a.txt': '1,1\n' });
    await symlink('../data-2/a.txt', join(root, 'train_letters1.txt'));
    await symlink('../data-2', join(root, 'out'));
    const ways = ['../data-2/a.txt', '../none', '/etc/passwd', '/none', '..', 'out/a.txt', 'out'];

    for (const way of [...ways, 'train_letters1.txt', join(folder, 'data-2/a.txt')])
      await assert.rejects(within(root)(way), {
        code: 'DATA_INVALID',
        message: /^\S+: expected a path inside the data folder of this node/,
      });
    await assert.rejects(within(root)('a\0b'), /expected a path of at most 4096 characters/);
    await assert.rejects(
      readLettersDirectory('.', 26, within(root)),
      /train_letters1\.txt: expected a path inside the data folder/,
    );
  });
});
