import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { RunLock } from './run-lock.ts';

function emptyFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-lock-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

describe('RunLock', () => {
  test('keeps others out as long as its holder lives, and names it', (t) => {
    const folder = emptyFolder(t);
    const lock = new RunLock(folder);

    assert.throws(() => new RunLock(folder), {
      name: 'ConfigError',
      message: new RegExp(
        `is being written by process ${process.pid} on \\S+: its run is under way`,
      ),
    });
    lock.release();
    new RunLock(folder).release();
  });

  test('is given to the next once its holder is gone', (t) => {
    const folder = emptyFolder(t);
    const lock = new RunLock(folder);
    const path = join(folder, 'lock.json');
    const held = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
    // A process of the same number that was started at another time.
    writeFileSync(path, JSON.stringify({ ...held, started: 'before' }));

    const taken = new RunLock(folder);
    lock.release();

    assert.throws(() => new RunLock(folder), /is being written by process/);
    taken.release();
  });
});
