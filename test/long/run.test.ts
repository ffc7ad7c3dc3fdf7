/** `lockstep run` of which a worker is killed. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { lossBits, MeasuredRun } from '../validate/measured-run.ts';

describe('lockstep run', () => {
  test('comes to the same end when a worker is killed, and its health file says so', async (t) => {
    const args = ['--steps', '1500', '--seed', '3'];
    const { payload: reference } = await new MeasuredRun(t, [...args, '--workers', '1']).finished();
    const run = new MeasuredRun(t, [...args, '--workers', '3']);
    await run.program.during('some steps', () => (run.health()?.completed_steps ?? 0) > 20);
    process.kill(run.workerIds()[1]!, 'SIGKILL');
    const seen = await run.program.during('a failed worker', () => {
      const health = run.health();
      return health?.workers.some(({ status }) => status === 'failed') === true && health;
    });
    const { payload } = await run.finished();

    assert.equal(seen.is_complete, false);
    assert.ok(seen.completed_steps < 1500);
    assert.deepEqual(payload.worker_snapshots?.map(({ status }) => status).sort(), [
      'failed',
      'healthy',
      'healthy',
    ]);
    assert.equal(payload.state_digest, reference.state_digest);
    assert.deepEqual(lossBits(payload), lossBits(reference));
  });
});
