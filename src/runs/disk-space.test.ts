import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { describe, test } from 'node:test';
import { checkDiskSpace, freeBytes } from './disk-space.ts';

describe('checkDiskSpace', () => {
  test('refuses what does not fit, with both figures', () => {
    assert.throws(() => checkDiskSpace('runs/first', 96e6, () => 12e6), {
      code: 'FILE_FAILED',
      message:
        'the files of this run need 100.2 MB in runs/first, and 12.0 MB are free. Free some ' +
        'space, or choose an --out-dir on another disk.',
    });
  });

  test('takes what fits, and a file system that does not know', () => {
    checkDiskSpace('runs/first', 96e6, () => 101e6);
    checkDiskSpace('runs/first', 96e6, () => undefined);
  });

  test('asks the file system', () => {
    assert.ok((freeBytes(tmpdir()) ?? 1) > 0);
    assert.throws(() => checkDiskSpace(tmpdir(), 1e18), /1000000.* MB in .* are free/);
    assert.throws(() => checkDiskSpace('/does/not/exist', 1), { code: 'FILE_FAILED' });
  });
});
