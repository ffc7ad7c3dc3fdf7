/**
 * TrackIQ's own records, as strict as its code builds them: `Record(**dict)` takes exactly the keys
 * that it has, and times go through `datetime.fromisoformat` of Python 3.10. Field lists from its
 * source (HamnaNimra/TrackIQ, schema 1.1.0).
 */
import assert from 'node:assert/strict';

type Fields = Readonly<Record<string, unknown>>;

const RESULT_KEYS = [
  ...['tool_name', 'tool_version', 'timestamp', 'platform', 'workload', 'metrics', 'regression'],
  ...['kv_cache', 'tool_payload', 'schema_version'],
];
const NESTED_KEYS: Readonly<Record<string, readonly string[]>> = {
  platform: ['hardware_name', 'os', 'framework', 'framework_version'],
  workload: ['name', 'workload_type', 'batch_size', 'steps'],
  metrics: [
    ...['throughput_samples_per_sec', 'latency_p50_ms', 'latency_p95_ms', 'latency_p99_ms'],
    ...['memory_utilization_percent', 'communication_overhead_percent'],
    ...['power_consumption_watts', 'energy_per_step_joules', 'performance_per_watt'],
    ...['temperature_celsius', 'scaling_efficiency_pct', 'ttft_ms', 'tokens_per_sec'],
    'decode_tpt_ms',
  ],
  regression: ['baseline_id', 'delta_percent', 'status', 'failed_metrics'],
};
const HEALTH_KEYS = [
  ...['run_id', 'total_steps', 'completed_steps', 'workers', 'timestamp', 'is_complete'],
];
const WORKER_KEYS = [
  ...['worker_id', 'step', 'loss', 'throughput_samples_per_sec', 'allreduce_time_ms'],
  ...['compute_time_ms', 'status', 'timestamp'],
];
/** What it reads of `tool_payload`; more harms nothing there. */
const PAYLOAD_KEYS = [
  ...['config', 'num_workers', 'num_steps', 'steps', 'total_time_sec', 'total_allreduce_time_ms'],
  ...['total_compute_time_ms', 'start_timestamp', 'end_timestamp', 'power_metrics'],
  ...['power_tool_payload', 'average_loss', 'final_loss', 'average_throughput_samples_per_sec'],
  ...['worker_snapshots', 'health_checkpoint_path', 'p50_allreduce_ms', 'p95_allreduce_ms'],
  ...['p99_allreduce_ms', 'max_allreduce_ms', 'allreduce_stdev_ms', 'collective_backend'],
  ...['workload_type', 'scaling_efficiency_pct'],
];
const STEP_KEYS = [
  ...['step', 'loss', 'throughput_samples_per_sec', 'allreduce_time_ms', 'compute_time_ms'],
];
const POWER_SUMMARY_KEYS = [
  ...['mean_power_watts', 'peak_power_watts', 'elapsed_seconds', 'performance_per_watt'],
];

/** What `datetime.fromisoformat` of Python 3.10 takes. */
const PYTHON_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00$/;

/** Fails unless TrackIQ's loaders take this result file. */
export function assertTrackIqResult(result: Fields): void {
  assertKeys(result, RESULT_KEYS, 'the result');
  for (const [name, keys] of Object.entries(NESTED_KEYS))
    assertKeys(result[name] as Fields, keys, name);
  assertTime(result);
  assertTrackIqPayload(result['tool_payload'] as Fields);
}

/** The same of the payload, which is the plain form of the file. */
export function assertTrackIqPayload(payload: Fields): void {
  assertHas(payload, PAYLOAD_KEYS, 'tool_payload');
  for (const step of payload['steps'] as Fields[]) assertHas(step, STEP_KEYS, 'a step');
  for (const key of ['start_timestamp', 'end_timestamp'])
    assert.match(String(payload[key]), PYTHON_TIME);
  for (const worker of payload['worker_snapshots'] as Fields[]) assertWorker(worker);
  const power = payload['power_tool_payload'] as { readonly power_profile: Fields } | null;
  if (power === null) return;
  assertHas(power.power_profile['summary'] as Fields, POWER_SUMMARY_KEYS, 'the power summary');
  for (const reading of power.power_profile['step_readings'] as Fields[])
    assertHas(reading, ['step', 'throughput'], 'a step reading');
}

/** Fails unless TrackIQ's monitor takes this health file. */
export function assertTrackIqHealth(health: Fields): void {
  assertKeys(health, HEALTH_KEYS, 'health.json');
  assertTime(health);
  for (const worker of health['workers'] as Fields[]) assertWorker(worker);
}

function assertWorker(worker: Fields): void {
  assertKeys(worker, WORKER_KEYS, 'a worker');
  assertTime(worker);
}

function assertTime({ timestamp }: Fields): void {
  assert.match(String(timestamp), PYTHON_TIME);
}

function assertKeys(record: Fields, keys: readonly string[], what: string): void {
  assert.deepEqual(Object.keys(record).toSorted(), keys.toSorted(), `keys of ${what}`);
}

function assertHas(record: Fields, keys: readonly string[], what: string): void {
  assert.deepEqual(
    keys.filter((key) => !(key in record)),
    [],
    `missing in ${what}`,
  );
}
