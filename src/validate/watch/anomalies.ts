/** What is wrong with a run, by its health files alone: pure rules over the last few of them. */
import type { Health, WorkerSnapshot } from '../results/result.ts';

/** Everything that can be wrong with a run, and how bad it is. */
export const ANOMALY_TYPES = {
  failed_worker: 'critical',
  stalled_worker: 'critical',
  slow_worker: 'warning',
  loss_divergence: 'warning',
  allreduce_spike: 'warning',
  stale_checkpoint: 'warning',
} as const;
/** What is wrong. */
export type AnomalyType = keyof typeof ANOMALY_TYPES;
/** How bad it is: a critical anomaly needs somebody now. */
export type Severity = (typeof ANOMALY_TYPES)[AnomalyType];

/** One thing that is wrong, in words for people. */
export interface Anomaly {
  readonly type: AnomalyType;
  readonly severity: Severity;
  /** Null when it is the whole run's. */
  readonly worker_id: number | null;
  readonly message: string;
}

/** What of a run is looked at. */
export interface Observation {
  /** Files of one run in the order of writing, the newest last; one is enough for most rules. */
  readonly checkpoints: readonly Health[];
  /** Milliseconds since the newest was written. */
  readonly ageMs: number;
}

/** Below this part of the workers' mean throughput a worker is slow. */
const SLOW_PART = 0.7;
/** Above the workers' mean by so many standard deviations a loss diverges. */
const LOSS_DEVIATIONS = 2;
/**
 * With fewer workers no loss can be that far out, since it moves mean and deviation itself: then
 * twice the others'.
 */
const MIN_WORKERS_FOR_DEVIATIONS = 6;
const FEW_WORKERS_LOSS_FACTOR = 2;
/** Above so many times the workers' mean an all-reduce is a spike. */
const SPIKE_FACTOR = 3;
/**
 * With fewer workers none can be so far above a mean that it is part of: then the others' mean
 * counts.
 */
const MIN_WORKERS_FOR_SPIKE = 4;
/** Shorter all-reduces are good ones, whatever the others' take. */
const MIN_SPIKE_MS = 5;
/** A worker that is at the same step in so many files in a row is stalled. */
export const STALLED_CHECKPOINTS = 3;
/** An unfinished run writes more often than that, unless its steps are longer, or it is gone. */
const STALE_MS = 60_000;

/** Everything that is wrong, critical first, by worker. */
export function findAnomalies({ checkpoints, ageMs }: Observation): Anomaly[] {
  const newest = checkpoints.at(-1);
  if (newest === undefined) return [];
  const live = newest.workers.filter(({ status }) => status !== 'failed');
  const found = [
    ...newest.workers.flatMap(failedWorker),
    ...stalledWorkers(checkpoints),
    ...slowWorkers(live.filter(hasSpeed)),
    ...divergingLosses(live),
    ...spikes(live),
    ...staleCheckpoint(newest, ageMs),
  ];
  return found.toSorted(
    (a, b) => Number(a.severity === 'warning') - Number(b.severity === 'warning'),
  );
}

function anomaly(type: AnomalyType, worker: WorkerSnapshot | undefined, what: string): Anomaly {
  const who = worker === undefined ? 'the run' : `rank ${worker.worker_id}`;
  return {
    type,
    severity: ANOMALY_TYPES[type],
    worker_id: worker?.worker_id ?? null,
    message: `${who} ${what}`,
  };
}

function failedWorker(worker: WorkerSnapshot): Anomaly[] {
  return worker.status === 'failed'
    ? [anomaly('failed_worker', worker, `has failed, at step ${worker.step}`)]
    : [];
}

/** A worker that has done nothing yet has no speed: it is healthy, and does 0 samples/s. */
function hasSpeed(worker: WorkerSnapshot): boolean {
  return worker.throughput_samples_per_sec > 0 || worker.status !== 'healthy';
}

function slowWorkers(workers: readonly WorkerSnapshot[]): Anomaly[] {
  if (workers.length < 2) return [];
  const mean = meanOf(workers.map((worker) => worker.throughput_samples_per_sec));
  return workers.flatMap((worker) => {
    const speed = worker.throughput_samples_per_sec;
    if (speed >= SLOW_PART * mean) return [];
    const part = Math.round((speed / mean) * 100);
    return [
      anomaly(
        'slow_worker',
        worker,
        `does ${text(speed)} samples/s, ${part} % of the workers' mean of ${text(mean)}`,
      ),
    ];
  });
}

function divergingLosses(workers: readonly WorkerSnapshot[]): Anomaly[] {
  const known = workers.flatMap((worker) =>
    worker.loss === null ? [] : [{ worker, loss: worker.loss }],
  );
  const losses = known.map(({ loss }) => loss);
  const isFew = known.length < MIN_WORKERS_FOR_DEVIATIONS;
  const mean = meanOf(losses);
  const limit = mean + LOSS_DEVIATIONS * deviationOf(losses);
  return known.flatMap(({ worker, loss }, index) => {
    const others = meanOf(losses.filter((_, other) => other !== index));
    const allowed = isFew ? FEW_WORKERS_LOSS_FACTOR * others : limit;
    if (known.length < 2 || !(loss > allowed)) return [];
    const why = isFew
      ? `the others' mean is ${text(others)}`
      : `the mean is ${text(mean)}, and two standard deviations above it ${text(limit)}`;
    return [anomaly('loss_divergence', worker, `has a loss of ${text(loss)}; ${why}`)];
  });
}

function spikes(workers: readonly WorkerSnapshot[]): Anomaly[] {
  const times = workers.map((worker) => worker.allreduce_time_ms);
  return workers.flatMap((worker, index) => {
    const compared =
      workers.length < MIN_WORKERS_FOR_SPIKE ? times.filter((_, other) => other !== index) : times;
    const mean = meanOf(compared);
    const ms = worker.allreduce_time_ms;
    if (workers.length < 2 || ms <= MIN_SPIKE_MS || ms <= SPIKE_FACTOR * mean) return [];
    return [
      anomaly(
        'allreduce_spike',
        worker,
        `takes ${text(ms)} ms for an all-reduce; the mean is ${text(mean)} ms`,
      ),
    ];
  });
}

function stalledWorkers(checkpoints: readonly Health[]): Anomaly[] {
  const last = checkpoints.slice(-STALLED_CHECKPOINTS);
  const newest = last.at(-1);
  if (newest === undefined || newest.is_complete || last.length < STALLED_CHECKPOINTS) return [];
  return newest.workers.flatMap((worker) => {
    const steps = last.map(
      ({ workers }) => workers.find(({ worker_id }) => worker_id === worker.worker_id)?.step,
    );
    if (steps.some((step) => step !== worker.step)) return [];
    return [
      anomaly(
        'stalled_worker',
        worker,
        `has been at step ${worker.step} for ${STALLED_CHECKPOINTS} checkpoints`,
      ),
    ];
  });
}

function staleCheckpoint({ is_complete }: Health, ageMs: number): Anomaly[] {
  if (is_complete || ageMs < STALE_MS) return [];
  const seconds = Math.round(ageMs / 1000);
  return [
    anomaly(
      'stale_checkpoint',
      undefined,
      `is not complete and has written nothing for ${seconds} s`,
    ),
  ];
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}

/** Deviation of the whole population: divisor n. */
function deviationOf(values: readonly number[]): number {
  const mean = meanOf(values);
  return Math.sqrt(meanOf(values.map((value) => (value - mean) ** 2)));
}

function text(value: number): string {
  return String(Number(value.toPrecision(4)));
}
