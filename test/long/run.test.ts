/** `lockstep run` of which a worker is killed, and one whose times are looked at: alone. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { bitsOf } from '../../src/validate/watch/step-recorder.ts';
import { lossBits, MeasuredRun } from '../validate/measured-run.ts';

function sumOf(values: readonly (number | undefined)[]): number {
  return values.reduce<number>((sum, value) => sum + (value ?? Number.NaN), 0);
}

describe('lockstep run', () => {
  test('measures where the time of every step went', async (t) => {
    const { payload } = await new MeasuredRun(t, [
      '--workers',
      '2',
      '--workload',
      'embedding',
      '--steps',
      '40',
    ]).finished();

    for (const step of payload.steps) {
      const {
        step_time_ms: whole,
        compute_time_ms,
        allreduce_time_ms,
        wait_time_ms,
        other_time_ms,
      } = step;
      const parts = sumOf([compute_time_ms, allreduce_time_ms, wait_time_ms, other_time_ms]);
      assert.ok(
        compute_time_ms > 0 && allreduce_time_ms > 0,
        `step ${step.step}: ${JSON.stringify(step)}`,
      );
      assert.ok(
        Math.abs(parts - whole!) <= 0.05 * whole!,
        `step ${step.step}: ${parts} of ${whole} ms`,
      );
      assert.equal(
        sumOf(step.workers!.map(({ samples }) => samples)),
        step.step % 32 === 31 ? 8 : 32,
      );
      assert.equal(step.loss_bits, bitsOf(step.loss));
    }
    const stepsMs = sumOf(payload.steps.map((step) => step.step_time_ms));
    assert.ok(
      Math.abs(stepsMs - 1000 * payload.total_time_sec) < Math.max(50, 0.01 * stepsMs),
      'steps fill the time',
    );
    const tookMs = Date.parse(payload.end_timestamp) - Date.parse(payload.start_timestamp);
    assert.ok(
      Math.abs(tookMs - 1000 * payload.total_time_sec) < 50,
      'timestamps are those of the training',
    );
    const samples = 39 * 32 + 8;
    const throughput = samples / payload.total_time_sec;
    assert.ok(
      Math.abs(payload.average_throughput_samples_per_sec - throughput) < 1e-6 * throughput,
    );
  });

  test('comes to the same end when a worker is told to go, and its health file says so', async (t) => {
    const args = ['--steps', '1500', '--seed', '3'];
    const { payload: reference } = await new MeasuredRun(t, [...args, '--workers', '1']).finished();
    const run = new MeasuredRun(t, [...args, '--workers', '3']);
    await run.program.during('some steps', () => (run.health()?.completed_steps ?? 0) > 20);
    // Who is killed is started again, and soon healthy.
    process.kill(run.workerIds()[1]!, 'SIGTERM');
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
