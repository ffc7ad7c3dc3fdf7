/** Runs as files of the suite hold them, for tests of what reads and draws them. */
import type { Result, ResultStep, TrainingPayload } from '../results/result.ts';
import type { RunFile } from '../results/read-result.ts';

/** What an example is made from. */
export interface ExampleOptions {
  readonly workers?: number;
  readonly steps?: number;
  /** Of a rank in a step. */
  readonly computeMs?: (rank: number, step: number) => number;
  readonly loss?: (step: number) => number;
  readonly digest?: string;
}

/**
 * A run in which every worker computes 8 samples a step, in 2 ms unless told otherwise; all-reduce
 * 1 ms, other 0.5 ms.
 */
export function examplePayload(options: ExampleOptions = {}): TrainingPayload {
  const { workers = 2, steps = 10, computeMs = () => 2, loss = (step) => 1 / (step + 1) } = options;
  const all = Array.from({ length: steps }, (_, step): ResultStep => {
    const times = Array.from({ length: workers }, (_unused, rank) => computeMs(rank, step));
    const longest = Math.max(...times);
    const mean = times.reduce((sum, ms) => sum + ms, 0) / workers;
    const stepMs = longest + 1.5;
    return {
      step,
      loss: loss(step),
      throughput_samples_per_sec: (8 * workers * 1000) / stepMs,
      allreduce_time_ms: 1,
      compute_time_ms: mean,
      wait_time_ms: longest - mean,
      other_time_ms: 0.5,
      step_time_ms: stepMs,
      workers: times.map((ms, rank) => ({
        worker_id: rank,
        samples: 8,
        compute_time_ms: ms,
        allreduce_time_ms: 1,
        wait_time_ms: longest - ms,
      })),
    };
  });
  const total = (of: (step: ResultStep) => number): number =>
    all.reduce((sum, step) => sum + of(step), 0);
  return {
    config: { num_steps: steps, seed: 42, workload: 'mlp' },
    num_workers: workers,
    num_steps: steps,
    steps: all,
    total_time_sec: total((step) => step.step_time_ms ?? 0) / 1000,
    total_allreduce_time_ms: steps,
    total_compute_time_ms: total((step) => step.compute_time_ms),
    start_timestamp: '2024-01-15T10:30:00Z',
    end_timestamp: '2024-01-15T10:30:42Z',
    average_loss: total((step) => step.loss) / steps,
    final_loss: all.at(-1)?.loss ?? 0,
    average_throughput_samples_per_sec: 1000,
    ...(options.digest !== undefined && { state_digest: options.digest }),
  };
}

/** The canonical result around a payload. */
export function exampleResult(payload: TrainingPayload): Result {
  return {
    tool_name: 'lockstep',
    tool_version: '0.1.0',
    timestamp: '2024-01-15T10:30:42Z',
    platform: {
      hardware_name: 'a machine',
      os: 'Linux',
      framework: 'lockstep',
      framework_version: '0.1.0',
    },
    workload: {
      name: 'distributed_training_validation',
      workload_type: 'training',
      batch_size: 16,
      steps: payload.num_steps,
    },
    metrics: {
      throughput_samples_per_sec: 1000,
      latency_p50_ms: 3,
      latency_p95_ms: 4,
      latency_p99_ms: 5,
      memory_utilization_percent: 6,
      communication_overhead_percent: 33.3,
      power_consumption_watts: null,
    },
    regression: { baseline_id: null, delta_percent: 0, status: 'pass', failed_metrics: [] },
    tool_payload: payload,
    schema_version: '1.1.0',
  };
}

/** The same as a file that was read. */
export function exampleFile(path: string, options: ExampleOptions = {}): RunFile {
  const payload = examplePayload(options);
  return { path, payload, result: exampleResult(payload) };
}
