/**
 * A run that goes on from a checkpoint: whatever ended it, and with however many workers, it makes
 * the model of the run that nothing has ended. test/long/resume.test.ts has more of this.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { startLockstep } from './processes.ts';
import { assertSameModel, referenceOf, Run, SHORT, startRun } from './runs.ts';

/** Flips a bit in the midst of a file. */
function damage(path: string): void {
  const bytes = readFileSync(path);
  bytes[bytes.length >> 1]! ^= 4;
  writeFileSync(path, bytes);
}

describe('a run all of which is killed', () => {
  test('goes on with other workers, from an older checkpoint if need be', async (t) => {
    const reference = await referenceOf(t, SHORT);
    const settings = ['--checkpoint-every', '50', '--lanes', '1', '--workers', '2'];
    const run = startRun(t, [...SHORT, ...settings]);
    const checkpoints = join(run.folder, 'checkpoints');
    await run.reachesStep(110);
    const isThere = (): boolean => readdirSync(checkpoints).includes('step_100');
    await run.program.during('a second checkpoint', isThere);
    run.program.signal('SIGKILL');
    for (const worker of (await run.workerIds(2)).values()) process.kill(worker, 'SIGKILL');
    await run.program.end();
    await run.assertNothingLeft();
    const newest = readdirSync(checkpoints)
      .filter((name) => name.startsWith('step_'))
      .sort((a, b) => Number(b.slice(5)) - Number(a.slice(5)))[0]!;
    damage(join(checkpoints, newest, 'weights.safetensors'));

    const again = ['train', '--resume', 'latest', '--out-dir', dirname(run.folder)];
    const program = startLockstep(t, [...again, '--workers', '1', '--lanes', '2', '--json']);
    const outcome = await new Run(program, run.folder).outcome();

    assert.match(program.stderr, new RegExp(`${newest} is not used: .*damaged`));
    assertSameModel(outcome, reference);
    assert.ok(outcome.summary.resumedAtStep! > 0);
    assert.equal(outcome.summary.checkpointStep, outcome.summary.steps);
  });
});
