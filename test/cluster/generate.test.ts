import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { lockstep } from './lockstep-command.ts';
import { startRun } from './runs.ts';

describe('lockstep generate', () => {
  test('refuses a folder that is not there, and one without a language model', async (t) => {
    const run = startRun(t, ['--dataset', 'digits', '--steps', '1', '--workers', '1']);
    await run.outcome();

    const nowhere = await lockstep(t, 'generate', join(run.folder, 'nowhere'));
    const classifier = await lockstep(t, 'generate', run.folder);

    assert.match(
      nowhere.stderr,
      /^error: \S+nowhere: expected the folder of a finished run, [^\n]+\n$/,
    );
    assert.match(
      classifier.stderr,
      /^error: \S+: there is no tokens\.json, [^\n]+--model gpt[^\n]+\n$/,
    );
    for (const { status, stdout } of [nowhere, classifier])
      assert.deepEqual([status, stdout], [2, '']);
  });
});
