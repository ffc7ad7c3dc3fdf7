/** The payload of a training run's result file, from what was recorded. */
import { invariant } from '../../base/errors.ts';
import { percentile, sampleDeviation } from '../results/percentile.ts';
import type { PowerProfile } from './power-meter.ts';
import type { ResultStep, TrainingPayload, WorkerSnapshot } from '../results/result.ts';
import { isoOf } from '../results/timestamp.ts';
import { perSecond, type StepRecorder } from './step-recorder.ts';
import { microBatchOf, WORKLOAD_DATA, type WorkloadOptions } from './workloads.ts';

/** How sums travel, in the key where the original names gloo or nccl: through the coordinator. */
const COLLECTIVE_BACKEND = 'star';

/** What the payload tells beside the steps; absent where it was not measured or not asked for. */
export interface RunFacts {
  readonly options: WorkloadOptions;
  readonly tdpWatts?: number | undefined;
  /** Samples per second of one worker, to which scaling is compared. */
  readonly baselineThroughput?: number | undefined;
  readonly healthPath?: string | undefined;
  readonly snapshots?: readonly WorkerSnapshot[];
  readonly power?: PowerProfile | undefined;
  readonly weightsDigest?: string | undefined;
  readonly stateDigest?: string | undefined;
  readonly ledger?: TrainingPayload['ledger'];
  /** More keys of our own. */
  readonly more?: Readonly<Record<string, unknown>>;
}

/** Thresholds with which `validate` and `baseline compare` judge a run unless told otherwise. */
const LOSS_TOLERANCE = 0.01;
const REGRESSION_THRESHOLD = 5;

/** The payload: also what the plain form of the file is. At least one step must be recorded. */
export function trainingPayload(recorder: StepRecorder, facts: RunFacts): TrainingPayload {
  const { options, baselineThroughput, power } = facts;
  const { began, ended } = recorder;
  const steps = recorder.steps();
  const final = steps.at(-1);
  invariant(began !== undefined && ended !== undefined && final !== undefined, 'a run has steps');
  const total = (of: (step: (typeof steps)[number]) => number | undefined): number =>
    steps.reduce((sum, step) => sum + (of(step) ?? 0), 0);
  const totalMs = ended.ms - began.ms;
  const throughput = perSecond(recorder.sampleCount, totalMs);
  const allReduceMs = steps.map((step) => step.allreduce_time_ms);
  const efficiency = scalingEfficiency(throughput, options.workers, baselineThroughput);
  return {
    config: configOf(facts),
    num_workers: options.workers,
    num_steps: steps.length,
    steps,
    total_time_sec: totalMs / 1000,
    total_allreduce_time_ms: total((step) => step.allreduce_time_ms),
    total_compute_time_ms: total((step) => step.compute_time_ms),
    total_wait_time_ms: total((step) => step.wait_time_ms),
    total_other_time_ms: total((step) => step.other_time_ms),
    start_timestamp: isoOf(began.wallMs),
    end_timestamp: isoOf(ended.wallMs),
    average_loss: total((step) => step.loss) / steps.length,
    final_loss: final.loss,
    average_throughput_samples_per_sec: throughput,
    power_metrics: power === undefined ? null : powerMetrics(power, throughput, steps.length),
    power_tool_payload:
      power === undefined ? null : { power_profile: powerProfile(power, steps, throughput) },
    worker_snapshots: [...(facts.snapshots ?? [])],
    health_checkpoint_path: facts.healthPath ?? null,
    p50_allreduce_ms: percentile(allReduceMs, 50),
    p95_allreduce_ms: percentile(allReduceMs, 95),
    p99_allreduce_ms: percentile(allReduceMs, 99),
    max_allreduce_ms: percentile(allReduceMs, 100),
    allreduce_stdev_ms: sampleDeviation(allReduceMs),
    collective_backend: COLLECTIVE_BACKEND,
    workload_type: options.workload,
    scaling_efficiency_pct: efficiency,
    ...(facts.weightsDigest !== undefined && { weights_digest: facts.weightsDigest }),
    ...(facts.stateDigest !== undefined && { state_digest: facts.stateDigest }),
    ...(facts.ledger !== undefined && { ledger: facts.ledger }),
    ...facts.more,
  };
}

/**
 * Throughput as percent of what as many workers would have at the baseline's speed, if it is known.
 */
function scalingEfficiency(
  throughput: number,
  workers: number,
  baseline: number | undefined,
): number | null {
  return baseline === undefined ? null : (throughput / (workers * baseline)) * 100;
}

function configOf({ options, tdpWatts, baselineThroughput }: RunFacts): Record<string, unknown> {
  const { workload, workers, lanes, steps, batchSize, learningRate, hiddenSize, numLayers, seed } =
    options;
  const { dataset, inputSize, outputSize } = WORKLOAD_DATA[workload];
  return {
    num_steps: steps,
    learning_rate: learningRate,
    batch_size: batchSize,
    hidden_size: hiddenSize,
    num_layers: numLayers,
    input_size: inputSize,
    output_size: outputSize,
    loss_tolerance: LOSS_TOLERANCE,
    num_processes: workers,
    regression_threshold: REGRESSION_THRESHOLD,
    seed,
    tdp_watts: tdpWatts ?? null,
    collective_backend: COLLECTIVE_BACKEND,
    baseline_throughput: baselineThroughput ?? null,
    workload,
    micro_batch: microBatchOf(batchSize),
    lanes,
    dataset,
  };
}

function powerMetrics(
  power: PowerProfile,
  throughput: number,
  steps: number,
): Record<string, unknown> {
  const { joules, meanWatts, meanCelsius, isEstimate } = power;
  return {
    power_consumption_watts: meanWatts,
    energy_joules: joules,
    energy_per_step_joules: joules / steps,
    performance_per_watt: meanWatts > 0 ? throughput / meanWatts : null,
    temperature_celsius: meanCelsius,
    estimated: isEstimate,
    source: power.source,
  };
}

function powerProfile(
  power: PowerProfile,
  steps: readonly ResultStep[],
  throughput: number,
): Record<string, unknown> {
  const { reader, began, ended, readings, joules, meanWatts, meanCelsius, isEstimate } = power;
  const maxWatts = readings.reduce((most, { watts }) => Math.max(most, watts), 0);
  return {
    reader,
    estimated: isEstimate,
    start_time: isoOf(began.wallMs),
    end_time: isoOf(ended.wallMs),
    step_readings: readings.map(({ step, wallMs, watts, celsius }) => ({
      step,
      timestamp: isoOf(wallMs),
      power_watts: watts,
      temperature_celsius: celsius,
      // Of the last step that it covers.
      throughput: steps[step - 1]?.throughput_samples_per_sec ?? null,
    })),
    summary: {
      mean_power_watts: meanWatts,
      max_power_watts: maxWatts,
      peak_power_watts: maxWatts,
      elapsed_seconds: (ended.ms - began.ms) / 1000,
      performance_per_watt: meanWatts > 0 ? throughput / meanWatts : null,
      total_energy_joules: joules,
      mean_temperature_celsius: meanCelsius,
    },
  };
}
