/**
 * The canonical result file of the validation suite, schema 1.1.0 of TrackIQ, as MiniCluster writes
 * it: what `run` writes and what `validate`, `baseline`, `report` and the dashboard read. Other
 * programs may write it too: of the payload only what a command needs has to be there.
 */
import * as z from 'zod';

/** Version of the schema that is written; older ones with the same first number are read. */
export const SCHEMA_VERSION = '1.1.0';

const number = z.number();
const orNull = (schema: z.ZodType<number>): z.ZodOptional<z.ZodNullable<z.ZodType<number>>> =>
  schema.nullable().optional();

/**
 * One training step. Times are milliseconds, means over its workers, and add up to `step_time_ms`.
 */
const stepSchema = z.looseObject({
  /** From 0, as the original counts. */
  step: z.number().int().min(0),
  /** Mean over the samples of the step, before the update. */
  loss: number,
  throughput_samples_per_sec: number,
  /** Sums and totals on their way, and adding them up. */
  allreduce_time_ms: number,
  /** Forward, backward, update. */
  compute_time_ms: number,
  wait_time_ms: number.optional(),
  other_time_ms: number.optional(),
  step_time_ms: number.optional(),
  /** The float64 bits of `loss`, 16 hexadecimal digits: what `--exact` compares. */
  loss_bits: z.string().optional(),
  /** Samples and micro-batches of every worker in the step. */
  workers: z
    .array(
      z.looseObject({
        worker_id: z.number().int(),
        samples: number,
        micro_batches: number.optional(),
        compute_time_ms: number,
        allreduce_time_ms: number,
        wait_time_ms: number.optional(),
      }),
    )
    .optional(),
});
/** A step of a result file. */
export type ResultStep = z.infer<typeof stepSchema>;

/** A worker at the end of the run, or at the moment of a health file. */
const workerSnapshotSchema = z.looseObject({
  worker_id: z.number().int(),
  step: z.number().int(),
  loss: number.nullable(),
  throughput_samples_per_sec: number,
  allreduce_time_ms: number,
  compute_time_ms: number,
  status: z.enum(['healthy', 'slow', 'failed']),
  timestamp: z.string(),
});
/** A worker as a file tells of it. */
export type WorkerSnapshot = z.infer<typeof workerSnapshotSchema>;

/**
 * `tool_payload` of a training run. Also the plain form of the seed's README, on its own in a file.
 */
export const trainingPayloadSchema = z.looseObject({
  config: z.record(z.string(), z.unknown()).optional(),
  num_workers: z.number().int(),
  num_steps: z.number().int(),
  steps: z.array(stepSchema),
  total_time_sec: number,
  total_allreduce_time_ms: number,
  total_compute_time_ms: number,
  total_wait_time_ms: number.optional(),
  total_other_time_ms: number.optional(),
  start_timestamp: z.string(),
  end_timestamp: z.string(),
  average_loss: number,
  final_loss: number,
  average_throughput_samples_per_sec: number,
  power_metrics: z.unknown().optional(),
  power_tool_payload: z.unknown().optional(),
  worker_snapshots: z.array(workerSnapshotSchema).optional(),
  health_checkpoint_path: z.string().nullable().optional(),
  p50_allreduce_ms: orNull(number),
  p95_allreduce_ms: orNull(number),
  p99_allreduce_ms: orNull(number),
  max_allreduce_ms: orNull(number),
  allreduce_stdev_ms: orNull(number),
  collective_backend: z.string().optional(),
  workload_type: z.string().optional(),
  scaling_efficiency_pct: orNull(number),
  /** SHA-256 of weights, and of weights and optimizer state, after the last step. */
  weights_digest: z.string().optional(),
  state_digest: z.string().optional(),
  /** Samples planned and committed exactly once. */
  ledger: z
    .object({ expected: number, counted: number, dropped: number, duplicated: number })
    .optional(),
});
/** A training run with all its steps. */
export type TrainingPayload = z.infer<typeof trainingPayloadSchema>;

/** The canonical result. */
export const resultSchema = z.looseObject({
  tool_name: z.string(),
  tool_version: z.string(),
  /** ISO 8601. */
  timestamp: z.string(),
  platform: z.looseObject({
    hardware_name: z.string(),
    os: z.string(),
    framework: z.string(),
    framework_version: z.string(),
  }),
  workload: z.looseObject({
    name: z.string(),
    workload_type: z.enum(['inference', 'training']),
    batch_size: z.number().int(),
    steps: z.number().int(),
  }),
  metrics: z.looseObject({
    throughput_samples_per_sec: number,
    latency_p50_ms: number,
    latency_p95_ms: number,
    latency_p99_ms: number,
    memory_utilization_percent: number,
    communication_overhead_percent: number.nullable(),
    power_consumption_watts: number.nullable(),
    energy_per_step_joules: orNull(number),
    performance_per_watt: orNull(number),
    temperature_celsius: orNull(number),
    scaling_efficiency_pct: orNull(number),
    ttft_ms: orNull(number),
    tokens_per_sec: orNull(number),
    decode_tpt_ms: orNull(number),
  }),
  regression: z.looseObject({
    baseline_id: z.string().nullable(),
    delta_percent: number,
    status: z.enum(['pass', 'fail']),
    failed_metrics: z.array(z.string()),
  }),
  kv_cache: z.unknown().optional(),
  tool_payload: z.record(z.string(), z.unknown()).nullable().optional(),
  /** Files before 1.1.0 have none: read as 1.0.0. */
  schema_version: z.string().optional(),
});
/** A whole result file. */
export type Result = z.infer<typeof resultSchema>;

/** The health file of a run under way, written anew (atomic rename) while it trains. */
export const healthSchema = z.looseObject({
  run_id: z.string(),
  total_steps: z.number().int(),
  completed_steps: z.number().int(),
  workers: z.array(workerSnapshotSchema),
  timestamp: z.string(),
  is_complete: z.boolean(),
});
/** A whole health file. */
export type Health = z.infer<typeof healthSchema>;

/** One injected fault and what the product's own detectors said of it. */
export const faultResultSchema = z.looseObject({
  fault_type: z.string(),
  /** The rank whose worker the fault was injected into. */
  affected_rank: z.number().int(),
  was_detected: z.boolean(),
  /** Words of the detector. */
  reason: z.string(),
  /** The rank that the detectors named, null when none was. */
  named_rank: z.number().int().nullable().optional(),
  injection_step: z.number().int().nullable().optional(),
  detected_step: z.number().int().nullable().optional(),
  detection_latency_steps: z.number().nullable().optional(),
  detection_latency_ms: z.number().nullable().optional(),
  /** Whether training went on to its last step. */
  recovered: z.boolean().optional(),
  /** Whether the final digest is the control run's; null when there is none. */
  digest_equal: z.boolean().nullable().optional(),
  loss_curve: z.array(number).optional(),
  seed: z.number().int().optional(),
});
/** What came of one fault. */
export type FaultResult = z.infer<typeof faultResultSchema>;

/** `fault_report.json`. */
export const faultReportSchema = z.looseObject({
  num_faults: z.number().int(),
  num_detected: z.number().int(),
  num_missed: z.number().int(),
  summary: z.string(),
  results: z.array(faultResultSchema),
  /**
   * The clean run that every fault is compared with; anything its detectors said is a false alarm.
   */
  control: z
    .looseObject({
      state_digest: z.string(),
      false_alarms: z.array(z.string()),
      loss_curve: z.array(number),
    })
    .optional(),
});
/** A whole fault report. */
export type FaultReport = z.infer<typeof faultReportSchema>;
