import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { temporaryFolder } from '../../../test/cluster/processes.ts';
import { ConfigError } from '../../base/errors.ts';
import { exampleFile } from '../../validate/watch/run-example.contract.ts';
import { feedOfResult } from './result-feed.ts';

describe('feedOfResult', () => {
  test('shows every step of a result, and that it is over', (t) => {
    const path = join(temporaryFolder(t), 'single.json');
    const { result, payload } = exampleFile(path);
    writeFileSync(path, JSON.stringify(result));

    const { view } = feedOfResult(path);

    assert.equal(view.name, 'single.json');
    assert.equal(view.phase, 'finished');
    assert.equal(view.step, payload.steps.length);
    assert.equal(view.workers.length, payload.steps[0]?.workers?.length ?? 0);
    assert.equal(view.history.columns['loss']?.at(-1), payload.steps.at(-1)?.loss);
    assert.ok(view.log.every(({ text }) => !/ of 0 /.test(text)));
  });

  test('refuses what is no result, or one of a newer schema', (t) => {
    const path = join(temporaryFolder(t), 'other.json');
    const { result } = exampleFile(path);
    for (const content of [{ ...result, schema_version: '2.0.0' }, { num_faults: 1 }, []]) {
      writeFileSync(path, JSON.stringify(content));
      assert.throws(() => feedOfResult(path), ConfigError);
    }
  });
});
