import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { testDisturbedRuns } from './disturbed-runs.contract.ts';
import { assertSameModel, PROMISE, referenceOf, SHORT, startRun } from './runs.ts';

testDisturbedRuns(SHORT, { kill: 50, freeze: 40 });

describe('a run that all its workers leave', () => {
  test('starts them again when they are killed, and ends with the same model', async (t) => {
    const reference = await referenceOf(t, SHORT);
    const run = startRun(t, [...SHORT, '--workers', '2']);
    const workers = await run.workerIds(2);

    await run.reachesStep(5);
    process.kill(workers.get(0)!, 'SIGKILL');
    process.kill(workers.get(1)!, 'SIGSEGV'); // as a defect in native code ends
    const outcome = await run.outcome();

    assertSameModel(outcome, reference);
    const { workersLost, workersJoined, rollbacks } = outcome.summary.events;
    assert.deepEqual([workersLost, rollbacks], [2, 1]);
    assert.ok(workersJoined >= 3);
    assert.deepEqual(
      run
        .eventsOf('worker-restarting')
        .map(({ rank, reason }) => [rank, reason])
        .sort(([a], [b]) => Number(a) - Number(b)),
      [
        [0, 'killed with SIGKILL'],
        [1, 'killed with SIGSEGV'],
      ],
    );
    assert.match(run.program.stderr, /! rank 1 is started again in 250 ms: killed with SIGSEGV\n/);
  });

  test('fails when they were told to go, and nobody else is in it', async (t) => {
    const run = startRun(t, [...PROMISE, '--workers', '2']);
    const workers = await run.workerIds(2);

    await run.reachesStep(5);
    for (const pid of workers.values()) process.kill(pid, 'SIGTERM');
    const { status } = await run.program.end();

    assert.equal(status, 1);
    assert.equal(run.program.stdout, '');
    const says =
      '\nerror: all 2 local workers have ended, and no other is in the run; rank 0, 1: it was ' +
      'told to end by a signal; see the logs in ';
    assert.ok(run.program.stderr.includes(says), run.program.stderr);
    const { status: recorded, reason, steps, ledger, modelStep, noModel } = run.summary();
    assert.equal(recorded, 'failed');
    assert.match(reason!, /^all 2 local workers have ended/);
    assert.ok(steps >= 5);
    assert.equal(ledger.counted, ledger.expected);
    assert.equal(modelStep, undefined);
    assert.match(noModel!, /^no state later than the initial one was fetched/);
    assert.ok(!existsSync(join(run.folder, 'model.onnx')));
  });
});
