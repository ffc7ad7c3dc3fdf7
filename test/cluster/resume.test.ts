/**
 * A run that goes on from a checkpoint: whatever ended it, and with however many workers, it makes
 * the model of the run that nothing has ended. test/long/resume.test.ts has more of this.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
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
    const steps = readdirSync(checkpoints)
      .filter((name) => name.startsWith('step_'))
      .map((name) => Number(name.slice(5)))
      .sort((a, b) => b - a);
    // As if the clock had been set back: the newest is that of the highest step all the same.
    for (const [hours, step] of steps.entries())
      utimesSync(join(checkpoints, `step_${step}`), 0, hours * 3_600);
    const newest = `step_${steps[0]}`;
    damage(join(checkpoints, newest, 'weights.safetensors'));

    const again = ['train', '--resume', 'latest', '--out-dir', dirname(run.folder)];
    const other = startLockstep(t, [...again, '--lr', '0.5']);
    const program = startLockstep(t, [...again, '--workers', '1', '--lanes', '2', '--json']);
    const outcome = await new Run(program, run.folder).outcome();

    assert.equal((await other.end()).status, 2);
    assert.match(
      other.stderr,
      /^error: going on from .*: these settings make another model\. .*\n--lr: the run has \S+, and 0\.5 was given\n$/m,
    );
    assert.equal(outcome.summary.resumedAtStep, steps[1]);
    assert.match(program.stderr, new RegExp(`${newest} is not used: .*damaged`));
    assertSameModel(outcome, reference);
    assert.equal(outcome.summary.checkpointStep, outcome.summary.steps);
  });
});
