/**
 * The canonical result of a training run: the payload with what TrackIQ's readers expect around it.
 */
import { cpus, release, type as osType } from 'node:os';
import { ONNX_RUNTIME_VERSION, VERSION } from '../../launch/software.ts';
import { percentile } from '../results/percentile.ts';
import type { PowerProfile } from './power-meter.ts';
import { type Result, SCHEMA_VERSION, type TrainingPayload } from '../results/result.ts';

/** What was measured of a run beside its steps. */
export interface ResultFacts {
  readonly batchSize: number;
  /** Percent of the machine's memory; 0..100. */
  readonly memoryPercent: number;
  readonly power?: PowerProfile | undefined;
  /** When the file is made, ISO 8601. */
  readonly timestamp: string;
}

/** The canonical result around `payload`. */
export function canonicalResult(payload: TrainingPayload, facts: ResultFacts): Result {
  const { total_allreduce_time_ms: allReduceMs, total_compute_time_ms: computeMs } = payload;
  const stepMs = payload.steps.map((step) => step.step_time_ms ?? 0);
  const throughput = payload.average_throughput_samples_per_sec;
  const { power } = facts;
  const busyMs = allReduceMs + computeMs;
  return {
    tool_name: 'minicluster',
    tool_version: VERSION,
    timestamp: facts.timestamp,
    platform: platform(),
    workload: {
      name: 'distributed_training_validation',
      workload_type: 'training',
      batch_size: facts.batchSize,
      steps: payload.num_steps,
    },
    metrics: {
      throughput_samples_per_sec: throughput,
      latency_p50_ms: percentile(stepMs, 50) ?? 0,
      latency_p95_ms: percentile(stepMs, 95) ?? 0,
      latency_p99_ms: percentile(stepMs, 99) ?? 0,
      memory_utilization_percent: facts.memoryPercent,
      communication_overhead_percent: busyMs > 0 ? (allReduceMs / busyMs) * 100 : null,
      power_consumption_watts: power?.meanWatts ?? null,
      energy_per_step_joules: power === undefined ? null : power.joules / payload.num_steps,
      performance_per_watt:
        power === undefined || power.meanWatts <= 0 ? null : throughput / power.meanWatts,
      temperature_celsius: power?.meanCelsius ?? null,
      scaling_efficiency_pct: payload.scaling_efficiency_pct ?? null,
      ttft_ms: null,
      tokens_per_sec: null,
      decode_tpt_ms: null,
    },
    regression: { baseline_id: null, delta_percent: 0, status: 'pass', failed_metrics: [] },
    kv_cache: null,
    tool_payload: payload,
    schema_version: SCHEMA_VERSION,
  };
}

function platform(): Result['platform'] {
  return {
    hardware_name: cpus()[0]?.model.trim() ?? 'unknown',
    os: `${osType()} ${release()}`,
    framework: 'lockstep (onnxruntime)',
    framework_version: `${VERSION} (${ONNX_RUNTIME_VERSION})`,
  };
}
