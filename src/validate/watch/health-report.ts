/** The state of a run in one document, as `lockstep monitor report --json` prints it. */
import {
  type Anomaly,
  ANOMALY_TYPES,
  type AnomalyType,
  findAnomalies,
  type Observation,
  type Severity,
} from './anomalies.ts';
import type { Health, WorkerSnapshot } from '../results/result.ts';

/** DEGRADED: there are warnings; CRITICAL: a worker has failed or stands still. */
export type HealthStatus = 'HEALTHY' | 'DEGRADED' | 'CRITICAL';

/** The document, with the names of MiniCluster. */
export interface HealthReport {
  readonly status: HealthStatus;
  readonly run_id: string;
  readonly completed_steps: number;
  readonly total_steps: number;
  readonly is_complete: boolean;
  /** When the run last wrote, in its own words. */
  readonly timestamp: string;
  readonly anomaly_counts: {
    readonly total: number;
    readonly by_severity: Readonly<Partial<Record<Severity, number>>>;
    readonly by_type: Readonly<Partial<Record<AnomalyType, number>>>;
  };
  readonly anomalies: readonly Anomaly[];
  readonly worker_statuses: readonly WorkerSnapshot[];
  readonly recommendations: readonly string[];
}

/** What to do about each. */
const ADVICE: { readonly [Type in AnomalyType]: string } = {
  failed_worker:
    'Read the log of the worker that failed. The others finish its work; start it again to ' +
    'have it back.',
  stalled_worker:
    'Look whether its process still runs and its machine answers; kill it, and the others ' +
    'take its work.',
  slow_worker:
    'Look for other load, heat or swapping on its machine. It gets less work as long as it ' +
    'is slow.',
  loss_divergence:
    'Compare with a run on one worker: lockstep validate. Check its data and memory; lower ' +
    'the learning rate if all diverge.',
  allreduce_spike:
    'Look at the network of this worker: lockstep bench-collective measures it on one machine.',
  stale_checkpoint:
    'Look whether the run still lives. If it was killed, this file is its last word.',
};

/** What an observation comes to. Its newest file must be there. */
export function healthReport(newest: Health, observation: Observation): HealthReport {
  const anomalies = findAnomalies(observation);
  return {
    status: statusOf(anomalies),
    run_id: newest.run_id,
    completed_steps: newest.completed_steps,
    total_steps: newest.total_steps,
    is_complete: newest.is_complete,
    timestamp: newest.timestamp,
    anomaly_counts: {
      total: anomalies.length,
      by_severity: countBy(anomalies, ({ severity }) => severity),
      by_type: countBy(anomalies, ({ type }) => type),
    },
    anomalies,
    worker_statuses: newest.workers,
    recommendations: [...new Set(anomalies.map(({ type }) => type))].map((type) => ADVICE[type]),
  };
}

/** Critical when any anomaly is, degraded when there are others. */
function statusOf(anomalies: readonly Anomaly[]): HealthStatus {
  if (anomalies.some(({ type }) => ANOMALY_TYPES[type] === 'critical')) return 'CRITICAL';
  return anomalies.length > 0 ? 'DEGRADED' : 'HEALTHY';
}

function countBy<K extends string>(
  anomalies: readonly Anomaly[],
  keyOf: (anomaly: Anomaly) => K,
): Partial<Record<K, number>> {
  const counts: Partial<Record<K, number>> = {};
  for (const one of anomalies) counts[keyOf(one)] = (counts[keyOf(one)] ?? 0) + 1;
  return counts;
}
