import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { readLettersDirectory } from './letters-directory.ts';
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
      message: /^train_letters2\.txt, first row: expected 2 numbers and a class, got 2 values/,
    });
  });
});
