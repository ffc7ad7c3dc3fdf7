import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { temporaryFolder } from '../../../test/cluster/processes.ts';
import { userKey } from './user-key.ts';

describe('userKey', () => {
  test('is made once, and only its owner may read it', (t) => {
    const folder = join(temporaryFolder(t), 'keys');
    const file = join(folder, 'dashboard-key');

    const key = userKey(folder, assert.fail);
    const again = userKey(folder, assert.fail);

    assert.equal(again, key);
    assert.equal(readFileSync(file, 'utf8').trim(), key);
    if (process.platform !== 'win32') assert.equal(statSync(file).mode & 0o777, 0o600);
  });

  test('is missing, and that is told, where its file cannot be used', (t) => {
    const folder = temporaryFolder(t);
    mkdirSync(join(folder, 'dashboard-key'));
    const problems: string[] = [];

    const key = userKey(folder, (problem) => problems.push(problem));

    assert.equal(key, undefined);
    assert.equal(problems.length, 1);
    assert.match(problems[0] ?? '', /dashboard-key: cannot be/);
  });
});
