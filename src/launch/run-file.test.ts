import assert from 'node:assert/strict';
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
        'writing /dev/full: the disk is full. Free some space, or choose another --out-dir, and start the run again.',
    });
    file.close();
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
      message: /missing\/whole: ENOENT.*another --out-dir/,
    });
  });
});
