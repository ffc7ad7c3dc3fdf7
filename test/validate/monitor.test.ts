/** `lockstep monitor` beside a run that trains, and on files that others left. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { startLockstep, temporaryFolder } from '../cluster/processes.ts';
import { lockstep } from '../cluster/lockstep-command.ts';

const WORKER = {
  worker_id: 0,
  step: 10,
  loss: 0.5,
  throughput_samples_per_sec: 100,
  allreduce_time_ms: 1,
  compute_time_ms: 2,
  status: 'healthy',
  timestamp: '2024-01-15T10:30:00Z',
};

function healthText(workers: readonly object[]): string {
  return JSON.stringify({
    run_id: 'nightly',
    total_steps: 100,
    completed_steps: 10,
    workers,
    timestamp: '2024-01-15T10:30:00Z',
    is_complete: false,
  });
}

describe('lockstep monitor watch', () => {
  test('follows a run from before its first step to its end', async (t) => {
    const folder = temporaryFolder(t);
    const health = join(folder, 'health.json');
    const watch = startLockstep(t, [
      'monitor',
      'watch',
      '--checkpoint',
      health,
      '--timeout',
      '60',
      '--json',
    ]);
    const run = startLockstep(t, [
      'run',
      '--steps',
      '300',
      '--output',
      join(folder, 'run.json'),
      '--health-checkpoint-path',
      health,
    ]);

    assert.equal((await run.end()).status, 0, run.stderr);
    assert.equal((await watch.end()).status, 0, watch.stderr);
    assert.match(watch.stderr, /^step \d+ of 300/m);
    assert.match(watch.stderr, /complete after 300 steps/);
    const state = JSON.parse(watch.stdout);
    assert.deepEqual(
      [state.completed_steps, state.is_complete, state.worker_statuses.length],
      [300, true, 2],
    );
  });

  test('ends with 1 when nothing comes, and with 130 when interrupted', async (t) => {
    const folder = temporaryFolder(t);
    const health = join(folder, 'health.json');
    const none = await lockstep(t, 'monitor', 'watch', '--checkpoint', health, '--timeout', '0.3');
    assert.equal(none.status, 1);
    assert.match(none.stderr, /no health file at .* within 0.3 s/);

    writeFileSync(health, healthText([WORKER]));
    const silent = await lockstep(
      t,
      'monitor',
      'watch',
      '--checkpoint',
      health,
      '--timeout',
      '0.3',
    );
    assert.equal(silent.status, 1);
    assert.match(silent.stderr, /no new checkpoint .* at step 10 of 100/);

    const watch = startLockstep(t, ['monitor', 'watch', '--checkpoint', health]);
    await watch.saying(/step 10 of 100/);
    watch.signal('SIGINT');
    assert.equal((await watch.end()).status, 130);
  });
});

describe('lockstep monitor status and report', () => {
  test('tell by word, exit code and page how a run is', async (t) => {
    const folder = temporaryFolder(t);
    const [health, page] = [join(folder, 'health.json'), join(folder, 'report.html')];
    const cases: [string, number, object[]][] = [
      ['HEALTHY', 0, [WORKER, { ...WORKER, worker_id: 1 }]],
      [
        'DEGRADED',
        0,
        [WORKER, { ...WORKER, worker_id: 1, throughput_samples_per_sec: 20, status: 'slow' }],
      ],
      [
        'CRITICAL',
        1,
        [WORKER, { ...WORKER, worker_id: 1, throughput_samples_per_sec: 0, status: 'failed' }],
      ],
    ];
    for (const [word, code, workers] of cases) {
      writeFileSync(health, healthText(workers));
      const status = await lockstep(t, 'monitor', 'status', '--checkpoint', health);
      assert.equal(status.status, code, status.stderr);
      assert.equal(status.stdout, `${word}\n`);

      const report = await lockstep(
        t,
        'monitor',
        'report',
        '--checkpoint',
        health,
        '--output',
        page,
        '--json',
      );
      assert.equal(report.status, 0, report.stderr);
      const json = JSON.parse(report.stdout);
      for (const key of [
        'status',
        'run_id',
        'completed_steps',
        'total_steps',
        'anomaly_counts',
        'worker_statuses',
        'recommendations',
      ])
        assert.ok(key in json, key);
      assert.equal(json.status, word);
      assert.ok(readFileSync(page, 'utf8').includes(`>${word}</span>`));
    }
  });

  test('refuse a file that is missing, half written, or something else', async (t) => {
    const folder = temporaryFolder(t);
    const path = join(folder, 'health.json');
    const refusals: [string | undefined, RegExp][] = [
      [undefined, /there is no such file/],
      [healthText([WORKER]).slice(0, 100), /after 100 bytes: the file is truncated/],
      ['{"num_faults": 1}', /expected a health file.*got a fault report/],
      [healthText([{ ...WORKER, step: 'ten' }]), /workers\S*step/],
    ];
    for (const [text, message] of refusals) {
      if (text !== undefined) writeFileSync(path, text);
      const { status, stdout, stderr } = await lockstep(
        t,
        'monitor',
        'status',
        '--checkpoint',
        path,
      );
      assert.equal(status, 2, stderr);
      assert.match(stderr, message);
      assert.equal(stdout, '');
    }
  });
});
