/**
 * A run that goes on from a checkpoint: whatever ended it, and with however many workers, it makes
 * the model of the run that nothing has ended. test/long/resume.test.ts has the other models.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { startLockstep } from './processes.ts';
import { assertSameModel, referenceOf, Run, SHORT, startRun } from './runs.ts';

const EVERY_50 = ['--checkpoint-every', '50', '--lanes', '1'];

/** What `lockstep train --resume` says of `what`, and how it ends. */
async function refusal(t: TestContext, run: Run, what: string, ...more: string[]): Promise<string> {
  const place = ['--resume', what, '--out-dir', dirname(run.folder)];
  const program = startLockstep(t, ['train', ...place, ...more]);
  assert.equal((await program.end()).status, 2, program.stderr);
  return program.stderr;
}

/** Flips a bit in the midst of a file. */
function damage(path: string): void {
  const bytes = readFileSync(path);
  bytes[bytes.length >> 1]! ^= 4;
  writeFileSync(path, bytes);
}

describe('a run whose coordinator is killed', () => {
  test('goes on with other workers, from an older checkpoint if need be', async (t) => {
    const reference = await referenceOf(t, SHORT);
    const run = startRun(t, [...SHORT, ...EVERY_50, '--workers', '2']);
    await run.reachesStep(110);
    const alive = await refusal(t, run, 'run');
    const isThere = (): boolean =>
      readdirSync(join(run.folder, 'checkpoints')).includes('step_100');
    await run.program.during('a second checkpoint', isThere);
    run.program.signal('SIGKILL');
    await run.program.end();
    await run.assertNothingLeft(10_000);
    const checkpoints = join(run.folder, 'checkpoints');
    const newest = readdirSync(checkpoints)
      .filter((name) => name.startsWith('step_'))
      .sort((a, b) => Number(b.slice(5)) - Number(a.slice(5)))[0]!;
    damage(join(checkpoints, newest, 'weights.safetensors'));
    const damaged = await refusal(t, run, 'run');
    const other = await refusal(t, run, 'latest', '--seed', '8');

    const outDir = dirname(run.folder);
    const again = ['train', '--resume', 'latest', '--out-dir', outDir];
    const program = startLockstep(t, [...again, '--workers', '3', '--json']);
    const outcome = await new Run(program, run.folder).outcome();

    assert.match(alive, /error: \S+run is being written by process \d+ on /);
    assert.match(damaged, new RegExp(`reading ${newest}/weights\\.safetensors: it is damaged`));
    assert.match(damaged, /An older one is whole: --resume \S+\/checkpoints\/step_\d+\n/);
    assert.match(other, /--seed: the run has 7, and 8 was given/);
    assert.match(program.stderr, new RegExp(`${newest} is not used: .*damaged`));
    assertSameModel(outcome, reference);
    assert.ok(outcome.summary.resumedAtStep! > 0);
    assert.equal(outcome.summary.checkpointStep, outcome.summary.steps);
  });
});

describe('a run that is told to end', () => {
  test('writes a checkpoint, and says the command that goes on from there', async (t) => {
    const reference = await referenceOf(t, SHORT);
    const run = startRun(t, [...SHORT, '--lanes', '1', '--workers', '1']);
    await run.reachesStep(60);
    run.program.signal('SIGTERM');
    assert.equal((await run.program.end()).status, 130);
    const [, step, words] = /to go on from step (\d+): lockstep (train --resume \S+?);/.exec(
      run.program.stderr,
    )!;

    const program = startLockstep(t, [...words!.split(' '), '--lanes', '2', '--json']);
    const outcome = await new Run(program, run.folder).outcome();

    assert.equal(outcome.summary.resumedAtStep, Number(step));
    assert.equal(Number(step), run.eventsOf('run-unfinished')[0]!.step);
    assertSameModel(outcome, reference);
    const finished = await refusal(t, run, 'run');
    assert.match(finished, /is at step 240, and 240 were asked for: nothing is left to be done/);
    const named = startLockstep(t, ['train', '--out-dir', dirname(run.folder), '--name', 'run']);
    assert.equal((await named.end()).status, 2);
    assert.match(
      named.stderr,
      /exists already: a run that is finished, after 240 steps\. To train/,
    );
  });
});
