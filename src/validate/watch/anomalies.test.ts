import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { findAnomalies } from './anomalies.ts';
import { healthReport } from './health-report.ts';
import { monitorReport } from '../reports/monitor-report.ts';
import type { Health, WorkerSnapshot } from '../results/result.ts';

/** A run of healthy workers, but for what `changes` says of single ones. */
function healthOf(
  count: number,
  changes: Readonly<Record<number, Partial<WorkerSnapshot>>> = {},
  rest: Partial<Health> = {},
): Health {
  return {
    run_id: 'run',
    total_steps: 100,
    completed_steps: 50,
    is_complete: false,
    timestamp: '2024-01-15T10:30:00Z',
    workers: Array.from({ length: count }, (_, rank) => ({
      worker_id: rank,
      step: 50,
      loss: 0.1,
      throughput_samples_per_sec: 100,
      allreduce_time_ms: 4,
      compute_time_ms: 3,
      status: 'healthy' as const,
      timestamp: '2024-01-15T10:30:00Z',
      ...changes[rank],
    })),
    ...rest,
  };
}

/** Kind and worker of everything that is found in one file. */
function foundIn(health: Health, ageMs = 0): [string, number | null][] {
  return findAnomalies({ checkpoints: [health], ageMs }).map(({ type, worker_id }) => [
    type,
    worker_id,
  ]);
}

describe('findAnomalies', () => {
  test('finds nothing wrong with workers that are alike, however many', () => {
    for (const count of [0, 1, 2, 3, 4, 8, 64]) assert.deepEqual(foundIn(healthOf(count)), []);
    // Rounding of a mean must not make a difference out of none.
    assert.deepEqual(
      foundIn(
        healthOf(
          7,
          Object.fromEntries([0, 1, 2, 3, 4, 5, 6].map((rank) => [rank, { loss: 0.1 + 0.2 }])),
        ),
      ),
      [],
    );
  });

  test('finds a failed worker, critical, and does not measure others by it', () => {
    const failed = healthOf(3, {
      1: { status: 'failed', throughput_samples_per_sec: 0, loss: 1e9 },
    });
    const [anomaly, ...more] = findAnomalies({ checkpoints: [failed], ageMs: 0 });
    assert.deepEqual(
      [anomaly?.type, anomaly?.severity, anomaly?.worker_id],
      ['failed_worker', 'critical', 1],
    );
    assert.deepEqual(more, []);
  });

  test('finds a worker below 70 % of the mean throughput, and none at 70 %', () => {
    // With 60 the mean of three is 86.7, and 70 % of it 60.7; with 62 they are 87.3 and 61.1.
    assert.deepEqual(foundIn(healthOf(3, { 2: { throughput_samples_per_sec: 60 } })), [
      ['slow_worker', 2],
    ]);
    assert.deepEqual(foundIn(healthOf(3, { 2: { throughput_samples_per_sec: 62 } })), []);
  });

  test('knows that a worker that has done nothing yet has no speed', () => {
    assert.deepEqual(foundIn(healthOf(3, { 2: { throughput_samples_per_sec: 0 } })), []);
  });

  test('finds a loss above mean and two standard deviations of six workers or more', () => {
    // Of eight, one at 1 and the others at 0: mean 1/8, deviation 0.331; 0.786.
    assert.deepEqual(foundIn(healthOf(8, { 5: { loss: 1 } })), [['loss_divergence', 5]]);
    // Two of eight are 1.73 deviations above.
    assert.deepEqual(foundIn(healthOf(8, { 5: { loss: 1 }, 6: { loss: 1 } })), []);
    assert.deepEqual(foundIn(healthOf(8, { 5: { loss: -1 } })), []);
  });

  test(
    'compares the losses of fewer workers, where that rule could never hold, with twice the ' +
      'others',
    () => {
      assert.deepEqual(foundIn(healthOf(2, { 1: { loss: 0.21 } })), [['loss_divergence', 1]]);
      assert.deepEqual(foundIn(healthOf(2, { 1: { loss: 0.19 } })), []);
      assert.deepEqual(foundIn(healthOf(3, { 1: { loss: null } })), []);
    },
  );

  test('finds an all-reduce above three times the mean, if it is long at all', () => {
    // Of eight at 4 and one at 25: mean 6.6, three times that 19.9.
    assert.deepEqual(foundIn(healthOf(8, { 3: { allreduce_time_ms: 25 } })), [
      ['allreduce_spike', 3],
    ]);
    assert.deepEqual(foundIn(healthOf(8, { 3: { allreduce_time_ms: 16 } })), []);
    assert.deepEqual(foundIn(healthOf(2, { 1: { allreduce_time_ms: 12.1 } })), [
      ['allreduce_spike', 1],
    ]);
    assert.deepEqual(
      foundIn(healthOf(2, { 0: { allreduce_time_ms: 0.1 }, 1: { allreduce_time_ms: 4.9 } })),
      [],
    );
  });

  test('finds a worker that is at the same step in three checkpoints, unless the run is complete', () => {
    const at = (step: number, rest: Partial<Health> = {}): Health =>
      healthOf(2, { 0: { step }, 1: { step: 50 } }, rest);
    const found = (checkpoints: Health[]): string[] =>
      findAnomalies({ checkpoints, ageMs: 0 }).map(
        ({ type, severity, worker_id }) => `${type} ${severity} ${worker_id}`,
      );

    assert.deepEqual(found([at(50), at(51), at(52)]), ['stalled_worker critical 1']);
    assert.deepEqual(found([at(51), at(52)]), []);
    assert.deepEqual(found([at(50), at(51), at(52, { is_complete: true })]), []);
    assert.deepEqual(
      found([at(50), at(51), healthOf(2, { 0: { step: 52 }, 1: { step: 51 } })]),
      [],
    );
  });

  test('finds a run that is not complete and writes no more', () => {
    assert.deepEqual(foundIn(healthOf(2), 61_000), [['stale_checkpoint', null]]);
    assert.deepEqual(foundIn(healthOf(2), 59_000), []);
    assert.deepEqual(foundIn(healthOf(2, {}, { is_complete: true }), 1e9), []);
  });
});

describe('healthReport', () => {
  const reportOf = (health: Health) => healthReport(health, { checkpoints: [health], ageMs: 0 });

  test('is critical, degraded or healthy by the worst of what is found', () => {
    const statusOf = (health: Health): string => reportOf(health).status;
    assert.equal(statusOf(healthOf(3)), 'HEALTHY');
    assert.equal(statusOf(healthOf(3, { 0: { throughput_samples_per_sec: 10 } })), 'DEGRADED');
    assert.equal(
      statusOf(healthOf(3, { 0: { throughput_samples_per_sec: 10 }, 1: { status: 'failed' } })),
      'CRITICAL',
    );
  });

  test('counts by severity and kind, and advises once for each kind', () => {
    const report = reportOf(
      healthOf(4, {
        0: { status: 'failed' },
        1: { status: 'failed' },
        2: { throughput_samples_per_sec: 10 },
      }),
    );

    assert.deepEqual(report.anomaly_counts, {
      total: 3,
      by_severity: { critical: 2, warning: 1 },
      by_type: { failed_worker: 2, slow_worker: 1 },
    });
    assert.equal(report.recommendations.length, 2);
    assert.deepEqual([report.run_id, report.completed_steps, report.total_steps], ['run', 50, 100]);
    assert.equal(report.worker_statuses.length, 4);
  });

  test('becomes a page that shows hostile names as text', () => {
    const page = monitorReport(
      reportOf(
        healthOf(2, { 1: { status: 'failed', timestamp: '<script>' } }, { run_id: '<script>' }),
      ),
    );
    assert.match(page, /badge bad">CRITICAL/);
    assert.match(page, /failed_worker/);
    assert.doesNotMatch(page, /<script/);
  });
});
