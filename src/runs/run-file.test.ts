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
        'writing /dev/full: the disk is full. Free some space, or choose a folder on ' +
        'another disk, and start again.',
    });
    file.close();
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
      message: /missing\/whole: ENOENT.*another folder/,
    });
  });
});
