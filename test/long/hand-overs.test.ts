/** A worker that joins late a run of ten million parameters, whose state has 121 MB with Adam. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { describe, test, type TestContext } from 'node:test';
import { assertWentOn, groupOf } from '../cluster/grouped-runs.ts';
import type { Program } from '../cluster/processes.ts';
import { type Run, startRun, startWorker } from '../cluster/runs.ts';

const LARGE: readonly string[] = [
  ...['--model', 'mlp', '--hidden', '3328,2240', '--dataset', 'mnist', '--seed', '7'],
  ...['--micro-batch', '16', '--global-batch', '64', '--steps', '60', '--eval-every', 'never'],
];
/** The state of a connection in /proc/net/tcp. */
const ESTABLISHED = '01';
/** Steps take so long that a worker can join between them, however fast the machine is. */
const SLOWED: readonly string[] = ['--throttle', '4'];
const LATE_RANK = 3;
const JOIN_STEP = 10;

/** Three workers, and one more that joins in the midst of their steps. */
async function joinLate(t: TestContext): Promise<{ readonly run: Run; readonly late: Program }> {
  const among = ['--workers', '3', '--lanes', '1', '--collective', 'ring'];
  const run = startRun(t, [...LARGE, ...SLOWED, ...among]);
  await groupOf(run, 'ring', 3);
  await run.reachesStep(JOIN_STEP);
  return { run, late: await startWorker(t, run) };
}

/** Inodes of the sockets with which a process is connected by TCP. */
function connectionsOf(processId: number): readonly string[] {
  const files = readdirSync(`/proc/${processId}/fd`).map((file) => {
    try {
      return readlinkSync(`/proc/${processId}/fd/${file}`);
    } catch {
      return 'closed meanwhile';
    }
  });
  const inodes = new Set(files.flatMap((file) => /^socket:\[(\d+)\]$/.exec(file)?.[1] ?? []));
  const rows = readFileSync('/proc/net/tcp', 'utf8').split('\n').slice(1);
  return rows.flatMap((row) => {
    const cells = row.trim().split(/\s+/);
    const [state, inode] = [cells[3], cells[9] ?? ''];
    return state === ESTABLISHED && inodes.has(inode) ? [inode] : [];
  });
}

describe('a worker that joins a run of ten million parameters', () => {
  test('gets the state from another worker, and all make the model of one', async (t) => {
    const { run, late } = await joinLate(t);

    const joined = await run.event('worker-joined', ({ rank }) => rank === LATE_RANK);
    t.diagnostic(`joined at step ${joined.step}`);
    await groupOf(run, 'ring', 4, joined.step);
    await assertWentOn(t, run, LARGE);

    assert.match(joined.stateFrom, /^rank [012]$/);
    assert.equal((await late.end()).status, 0);
    // Who was there from the beginning has the initial state, which is from the coordinator.
    for (const { rank, stateFrom } of run.eventsOf('worker-joined'))
      assert.equal(stateFrom !== 'coordinator', rank === LATE_RANK);
  });

  test('gets it from the coordinator when its donor is killed while it gives it', async (t) => {
    const { run, late } = await joinLate(t);
    const workers = await run.workerIds(3);
    const atCoordinator = 3;

    await run.program.during('a connection to the donor', () => {
      const count = connectionsOf(late.pid).length;
      return count > atCoordinator;
    });
    // The first that is there is asked.
    process.kill(workers.get(0) ?? 0, 'SIGKILL');
    const joined = await run.event('worker-joined', ({ rank }) => rank === LATE_RANK);
    const { summary } = await assertWentOn(t, run, LARGE);

    assert.equal(joined.stateFrom, 'coordinator');
    assert.equal(summary.events.workersLost, 1);
  });
});
