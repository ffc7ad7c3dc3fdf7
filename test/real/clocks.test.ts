/** Machines whose clocks are wrong: nothing that a run does depends on them. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { type Program, startLockstep, temporaryFolder } from '../cluster/processes.ts';
import { assertSameModel, PROMISE, referenceOf, Run } from '../cluster/runs.ts';

/** What has all time of a program go by another clock, from Debian's package faketime. */
const LIBRARY = existsSync('/usr/lib')
  ? readdirSync('/usr/lib')
      .map((folder) => join('/usr/lib', folder, 'faketime/libfaketimeMT.so.1'))
      .find((path) => existsSync(path))
  : undefined;
const SKIP = LIBRARY === undefined ? 'without faketime' : false;

/** Starts `lockstep` where the wall clock is another; how long something takes is not. */
function startAt(t: TestContext, clock: string, args: readonly string[], home: string): Program {
  const time = { LD_PRELOAD: LIBRARY, FAKETIME: clock, DONT_FAKE_MONOTONIC: '1' };
  return startLockstep(t, args, home, { ...time, LOCKSTEP_HOME: home });
}

describe('a run on machines whose clocks are wrong', { skip: SKIP }, () => {
  test('ends with the same model, days off or fifty times too fast', async (t) => {
    const reference = await referenceOf(t, PROMISE);
    const [desk, laptop, mini] = [temporaryFolder(t), temporaryFolder(t), temporaryFolder(t)];
    const linkFile = join(desk, 'link');
    const place = ['--lan', '--link-file', linkFile, '--workers', '2', '--out-dir', desk];
    const coordinate = ['coordinator', ...PROMISE, ...place, '--name', 'run', '--json'];
    const run = new Run(startAt(t, '-3d', coordinate, desk), join(desk, 'run'));
    await run.address();

    // The link is good for a day, by the clock of who has made it.
    const joining = ['join', '--link-file', linkFile, '--lanes', '1'];
    const late = startAt(t, '+3d', joining, laptop);
    const fast = startAt(t, '+0 x50', joining, mini);
    for (const worker of [late, fast]) assert.equal((await worker.end()).status, 0, worker.stderr);
    const outcome = await run.outcome();

    assertSameModel(outcome, reference);
    const { workersJoined, workersLost, workersStalled } = outcome.summary.events;
    assert.deepEqual([workersJoined, workersLost, workersStalled], [2, 0, 0]);
    const { rank } = run.eventsOf('worker-joined').find(({ processId }) => processId === fast.pid)!;
    const jumped = new Set(run.eventsOf('clock-jumped').map((event) => event.rank));
    assert.deepEqual([...jumped], [rank], 'one that is only wrong does not jump');
    assert.match(run.program.stderr, /the clock of rank \d jumped by .*; nothing depends on it/);
  });
});
