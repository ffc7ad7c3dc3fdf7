import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { testDisturbedRuns } from './disturbed-runs.contract.ts';
import { PROMISE, SHORT, startRun } from './runs.ts';

testDisturbedRuns(SHORT, { kill: 50, freeze: 40 });

describe('a run that all its workers leave', () => {
  test('fails, saying what may have killed them, when nobody else is in it', async (t) => {
    const run = startRun(t, [...PROMISE, '--workers', '2']);
    const workers = await run.workerIds(2);

    await run.reachesStep(5);
    for (const pid of workers.values()) process.kill(pid, 'SIGKILL');
    const { status } = await run.program.end();

    assert.equal(status, 1);
    assert.equal(run.program.stdout, '');
    const says =
      '\nerror: all 2 local workers have ended, and no other is in the run; killed with SIGKILL: ' +
      'rank [01], [01]\\. If memory ran out, lower ';
    assert.match(run.program.stderr, new RegExp(says));
    const { status: recorded, reason, steps, ledger } = run.summary();
    assert.equal(recorded, 'failed');
    assert.match(reason!, /^all 2 local workers have ended/);
    assert.ok(steps >= 5);
    assert.equal(ledger.counted, ledger.expected);
  });
});
