import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { GrowingFile, writeWhole } from './run-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'lockstep-run-file-'));
after(() => rmSync(folder, { recursive: true }));

describe('GrowingFile', () => {
  test('appends what is written, from an empty file or where one ended', () => {
    const path = join(folder, 'growing');
    for (const flag of ['w', 'a'] as const) {
      const file = new GrowingFile(path, flag);
      file.write('größe\n');
      file.close();
    }

    assert.equal(readFileSync(path, 'utf8'), 'größe\ngröße\n');
  });

  test('says that the disk is full, and what to do', () => {
    const file = new GrowingFile('/dev/full', 'a'); // Linux: no write to it ever fits

    assert.throws(() => file.write('line\n'), {
      code: 'FILE_FAILED',
      message:
        'writing /dev/full: the disk is full. Free some space, or choose a folder on another disk.',
    });
    file.close();
  });
});

describe('the lines of a GrowingFile', () => {
  test('are each within one page, where a write that is killed does not end', () => {
    const path = join(folder, 'pages');
    const file = new GrowingFile(path, 'w');
    const lines = Array.from({ length: 300 }, (_, index) => `${index}:${'x'.repeat(index * 13)}\n`);
    for (let at = 0; at < lines.length; at += 7) file.write(lines.slice(at, at + 7).join(''));
    file.write('last\n');
    file.close();

    const bytes = readFileSync(path);
    const read = bytes.toString().split('\n');
    assert.deepEqual(
      read.map((line) => line.trimStart()),
      [...lines.map((line) => line.trim()), 'last', ''],
    );
    let [begin, end] = [0, 0];
    for (const line of read.slice(0, -1)) {
      begin = end + line.length - line.trimStart().length;
      end += line.length + 1;
      assert.equal(Math.floor(begin / 4096), Math.floor((end - 1) / 4096), `line at ${begin}`);
    }
  });

  test('are written although they are longer than a page', () => {
    const path = join(folder, 'long');
    const file = new GrowingFile(path, 'w');
    const lines = ['a', 'b'.repeat(10_000), 'c', 'd'.repeat(4096), 'e'];
    for (const line of lines) file.write(`${line}\n`);
    file.write(lines.map((line) => `${line}\n`).join(''));
    file.close();

    const read = readFileSync(path, 'utf8').split('\n');
    assert.deepEqual(
      read.map((line) => line.trimStart()),
      [...lines, ...lines, ''],
    );
  });
});

describe('a GrowingFile that was deleted', () => {
  test('knows it, and has everything again where it is put', () => {
    const [path, other] = [join(folder, 'deleted'), join(folder, 'other')];
    const file = new GrowingFile(path, 'a');
    file.write('one\n');
    assert.ok(file.isInPlace);
    rmSync(path);
    file.write('two\n');

    assert.ok(!file.isInPlace);
    assert.throws(() => file.moveTo(join(folder, 'missing/file')), { code: 'FILE_FAILED' });
    file.moveTo(other);
    file.write('three\n');
    file.close();
    assert.equal(readFileSync(other, 'utf8'), 'one\ntwo\nthree\n');
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.endsWith('.moving')),
      [],
    );
  });
});

describe('GrowingFile on a disk that fills up', () => {
  test('has every piece whole or not at all, and goes on when there is room again', () => {
    // A limit on the size of files stands for the disk: what goes beyond it is written in part,
    // then refused.
    const path = join(folder, 'limited');
    const script = `
      import { GrowingFile } from ${JSON.stringify(new URL('run-file.ts', import.meta.url).href)};
      const file = new GrowingFile(${JSON.stringify(path)}, 'w');
      for (const length of [1000, 2000, 500]) {
        try {
          file.write(length + 'x'.repeat(length) + '\\n');
        } catch (error) {
          console.log(error.code);
        }
      }
      file.close();`;
    const limited = `ulimit -f 2; exec "$0" --import tsx --input-type module -e "$1"`;

    const { stdout, stderr } = spawnSync('bash', ['-c', limited, process.execPath, script], {
      encoding: 'utf8',
      env: { ...process.env, TSX_DISABLE_CACHE: '1' },
    });

    assert.equal(stdout, 'FILE_FAILED\n', stderr);
    const lines = readFileSync(path, 'utf8').split('\n');
    assert.deepEqual(
      lines.map((line) => line.length),
      [1004, 503, 0],
    );
  });
});

describe('writeWhole', () => {
  test('writes the parts one after another and leaves nothing else', () => {
    writeWhole(join(folder, 'whole'), [Uint8Array.of(1, 2), Uint8Array.of(), Uint8Array.of(3)]);

    assert.deepEqual([...readFileSync(join(folder, 'whole'))], [1, 2, 3]);
    assert.ok(!readdirSync(folder).some((name) => name.endsWith('.partial')));
  });

  test('names the file that cannot be written', () => {
    assert.throws(() => writeWhole(join(folder, 'missing/whole'), []), {
      code: 'FILE_FAILED',
      message: /missing\/whole: ENOENT.*Choose another folder/,
    });
  });
});
