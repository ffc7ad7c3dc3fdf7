/** Runs of which a process has too little memory, or too few files that it may open. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { describe, test } from 'node:test';
import { startProgram, waitFor } from '../cluster/processes.ts';
import { SMALL } from '../cluster/relayed-run.ts';
import { assertSameModel, referenceOf, startRun } from '../cluster/runs.ts';

/** Too little for the guard pages of a single WebAssembly memory. */
const LITTLE_MEMORY = 'ulimit -v 3000000';
/** More than a run of two workers needs, by fewer than a crowd has. */
const SPARE_FILES = 20;
const LONG: readonly string[] = [...SMALL, '--epochs', '8'];

describe('a worker that gets too little memory', () => {
  test('says so and ends, and the run goes on without it', async (t) => {
    const reference = await referenceOf(t, LONG);
    const run = startRun(t, [...LONG, '--workers', '1', '--lanes', '1']);
    await run.reachesStep(20);

    const joining = `worker --join ${await run.address()} --lanes 1`;
    const limited = `${LITTLE_MEMORY} && exec "$0" bin/lockstep.js ${joining}`;
    const worker = startProgram(t, 'bash', ['-c', limited, process.execPath]);
    const { status } = await worker.end();
    const outcome = await run.outcome();

    assert.equal(status, 1, worker.stderr);
    assert.match(worker.stderr, /^error: .*this machine gives no more memory \(.*--lanes/m);
    assert.doesNotMatch(worker.stderr, /^ +at /m);
    assertSameModel(outcome, reference);
    const [refused] = run.eventsOf('worker-refused');
    assert.match(refused!.reason, /this machine gives no more memory/);
    assert.equal(outcome.summary.events.workersLost, 0);
  });
});

describe('a coordinator that may have few more files open', () => {
  test('goes on with who is in when a crowd comes', async (t) => {
    const reference = await referenceOf(t, LONG);
    const run = startRun(t, [...LONG, '--workers', '2', '--lanes', '1']);
    await run.workerIds(2);
    await run.reachesStep(20);
    const { pid } = run.program;
    const most = readdirSync(`/proc/${pid}/fd`).length + SPARE_FILES;
    const limited = spawnSync('prlimit', ['--pid', String(pid), `--nofile=${most}`]);
    assert.equal(limited.status, 0, String(limited.stderr));

    const [host, port] = (await run.address()).split(':') as [string, string];
    const crowd = Array.from({ length: 200 }, () => connect(Number(port), host));
    for (const socket of crowd) {
      socket.on('error', () => {});
      t.after(() => socket.destroy());
    }
    await waitFor('some turned away', () => crowd.some(({ closed }) => closed));
    const { step } = run.eventsOf('step').at(-1)!;
    await run.reachesStep(step + 20);
    for (const socket of crowd) socket.destroy();
    const outcome = await run.outcome();

    assertSameModel(outcome, reference);
    assert.equal(outcome.summary.events.workersLost, 0);
  });
});
