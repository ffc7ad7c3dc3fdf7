import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { ConfigError } from '../../base/errors.ts';
import { checkBaselineName, listBaselines, readBaseline, writeBaseline } from './baseline-file.ts';
import { readMetrics } from './read-metrics.ts';

const folder = mkdtempSync(join(tmpdir(), 'lockstep-baseline-'));
after(() => rmSync(folder, { recursive: true }));

function file(name: string, value: unknown): string {
  const path = join(folder, name);
  writeFileSync(path, typeof value === 'string' ? value : JSON.stringify(value));
  return path;
}

const CANONICAL = {
  tool_name: 'minicluster',
  tool_version: '0.1.0',
  timestamp: '2026-01-02T03:04:05',
  platform: { hardware_name: 'cpu', os: 'Linux', framework: 'pytorch', framework_version: '2.0' },
  workload: { name: 'w', workload_type: 'training', batch_size: 32, steps: 1 },
  metrics: {
    throughput_samples_per_sec: 105.6,
    latency_p50_ms: 1,
    latency_p95_ms: 2,
    latency_p99_ms: 3,
    memory_utilization_percent: 0,
    communication_overhead_percent: null,
    power_consumption_watts: null,
  },
  regression: { baseline_id: null, delta_percent: 0, status: 'pass', failed_metrics: [] },
  kv_cache: null,
  tool_payload: {
    num_workers: 2,
    workload_type: 'mlp',
    config: { seed: 42, tdp_watts: 150 },
    steps: [{ step: 0, loss: 9 }],
    final_loss: 9,
    average_throughput_samples_per_sec: 105.6,
    start_timestamp: '2026-01-02T03:04:05',
    ledger: { expected: 32 },
  },
};

describe('readMetrics', () => {
  test('takes the numbers of a canonical result and of its payload, but no settings, steps or words', () => {
    const { metrics, conditions } = readMetrics(file('canonical.json', CANONICAL));

    assert.deepEqual(Object.fromEntries(metrics), {
      final_loss: 9,
      average_throughput_samples_per_sec: 105.6,
      throughput_samples_per_sec: 105.6,
      latency_p50_ms: 1,
      latency_p95_ms: 2,
      latency_p99_ms: 3,
      memory_utilization_percent: 0,
    });
    assert.deepEqual(Object.fromEntries(conditions), {
      batch_size: 32,
      steps: 1,
      num_workers: 2,
      workload_type: 'mlp',
    });
  });

  test('takes the numbers of a summary.json, also those one level down', () => {
    const summary = {
      status: 'finished',
      model: 'mlp',
      seed: 7,
      testLoss: 0.5,
      ledger: { expected: 10 },
      events: { workersLost: 0 },
      timeSplit: { compute: 3 },
      workers: [{ samples: 3 }],
    };

    const { metrics, conditions } = readMetrics(file('summary.json', summary));

    assert.deepEqual(Object.fromEntries(metrics), { testLoss: 0.5, 'timeSplit.compute': 3 });
    assert.deepEqual(Object.fromEntries(conditions), { model: 'mlp', seed: 7 });
  });

  test('takes any object with numbers, and refuses one without, and reports', () => {
    const flat = readMetrics(
      file('flat.json', { note: 'x', isGood: true, a: 1, deep: { b: 2, list: [3] } }),
    );

    assert.deepEqual(Object.fromEntries(flat.metrics), { a: 1, 'deep.b': 2 });
    assert.throws(() => readMetrics(file('words.json', { note: 'x' })), /there is no number in it/);
    assert.throws(() => readMetrics(file('faults.json', { num_faults: 1 })), /got a fault report/);
  });

  test('names the field of a canonical result that is wrong', () => {
    const broken = { ...CANONICAL, metrics: { ...CANONICAL.metrics, latency_p50_ms: '1' } };

    assert.throws(
      () => readMetrics(file('broken.json', broken)),
      /metrics\.latency_p50_ms: expected a number, got "1"/,
    );
  });
});

describe('a baseline', () => {
  const runs = [
    { loss: 1, num_workers: 2 },
    { loss: 3, num_workers: 2, extra: 5 },
  ].map((metrics, index) => readMetrics(file(`run-${index}.json`, metrics)));

  test('comes back with the values of all runs and what they have in common', () => {
    writeBaseline(folder, 'two', runs);

    const { metrics, conditions } = readBaseline(folder, 'two');

    assert.deepEqual(Object.fromEntries(metrics), { loss: [1, 3], extra: [5] });
    assert.deepEqual(Object.fromEntries(conditions), { num_workers: 2 });
  });

  test('is read as MiniCluster writes it, with flat metrics or with a whole result in it', () => {
    mkdirSync(join(folder, 'seed'));
    const head = { timestamp: '2026-01-02T03:04:05' };
    file('seed/flat.json', {
      name: 'flat',
      ...head,
      metrics: { final_loss: 0.045, num_workers: 2 },
    });
    file('seed/whole.json', { name: 'whole', ...head, metrics: CANONICAL });

    const flat = readBaseline(join(folder, 'seed'), 'flat');
    const whole = readBaseline(join(folder, 'seed'), 'whole');

    assert.deepEqual(Object.fromEntries(flat.metrics), { final_loss: [0.045] });
    assert.equal(flat.conditions.get('num_workers'), 2);
    assert.deepEqual(whole.metrics.get('final_loss'), [9]);
    assert.deepEqual(
      [whole.metrics.has('seed'), whole.metrics.get('latency_p99_ms')],
      [false, [3]],
    );
  });

  test('that is not there is refused with the names of those that are', () => {
    const seed = join(folder, 'seed');

    assert.deepEqual(listBaselines(seed), ['flat', 'whole']);
    assert.throws(
      () => readBaseline(seed, 'flatt'),
      /no baseline "flatt".*there are: flat, whole\. Did you mean "flat"/,
    );
    assert.throws(() => readBaseline(join(folder, 'nowhere'), 'x'), /there is none in .*nowhere/);
  });

  test('is not made of a metric that is no number', () => {
    const run = readMetrics(file('nan.json', '{"loss": NaN}'));

    assert.throws(() => writeBaseline(folder, 'nan', [run]), /nan\.json.*loss is NaN/);
    assert.equal(listBaselines(folder).includes('nan.json'), false);
  });

  test('has a name that leads nowhere else', () => {
    for (const name of ['stable_v1', 'main-2.0', 'A']) checkBaselineName(name);
    for (const name of ['', '../x', 'a/b', 'a\\b', '.hidden', 'a b', 'x'.repeat(101), '-n'])
      assert.throws(() => checkBaselineName(name), ConfigError, name);
  });
});
