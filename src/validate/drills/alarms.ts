/** What the product's own detectors say while a run goes on, in one form. */
import type { LockstepError } from '../../base/errors.ts';
import type { RunEvent, WorkerSlow } from '../../metrics/events.ts';

/** A detector's word about a run. */
export interface Alarm {
  readonly kind: AlarmKind;
  /** The worker that it names; null when it is not about a worker. */
  readonly rank: number | null;
  /** The step under way: updates that were committed. */
  readonly step: number;
  /** Milliseconds since 1970. */
  readonly atMs: number;
  readonly reason: string;
}

/** What a detector noticed. */
export type AlarmKind =
  | 'worker-slow'
  | 'worker-stalled'
  | 'worker-lost'
  | 'worker-distrusted'
  | 'result-not-repeated'
  | 'worker-refused'
  | 'clock-jumped'
  | 'numerics-differ'
  | 'file-failed'
  | 'run-failed';

/** Where and when an event was heard. */
export interface Heard {
  readonly step: number;
  readonly atMs: number;
}

/** The alarm that an event is; undefined when all is well. */
export function alarmOf(event: RunEvent, { step, atMs }: Heard): Alarm | undefined {
  const alarm = (kind: AlarmKind, rank: number | null, reason: string): Alarm => ({
    kind,
    rank,
    step,
    atMs,
    reason,
  });
  switch (event.kind) {
    case 'worker-slow':
      return alarm(event.kind, event.rank, slownessText(event));
    case 'worker-stalled':
    case 'worker-lost':
    case 'worker-distrusted':
    case 'result-not-repeated':
      return alarm(event.kind, event.rank, event.reason);
    case 'worker-refused':
      return alarm(event.kind, event.rank ?? null, event.reason);
    case 'clock-jumped':
      return alarm(
        event.kind,
        event.rank,
        `its clock jumped by ${(event.jumpMs / 1000).toFixed(1)} s`,
      );
    case 'numerics-differ':
      return alarm(event.kind, null, 'workers compute different bits for one micro-batch');
    case 'file-failed':
      return alarm(event.kind, null, `${event.file}: ${event.reason}; ${event.consequence}`);
    // Beside them a worker is lost, or the run fails.
    case 'worker-restarting':
    case 'worker-given-up':
    case 'run-unfinished':
    case 'checkpoint-written':
    case 'run-started':
    case 'data-received':
    case 'approval-asked':
    case 'approval-ended':
    case 'rebalanced':
    case 'worker-joined':
    case 'micro-batches-reissued':
    case 'gradient-late':
    case 'staleness-bound':
    case 'collective-chosen':
    case 'step-redone':
    case 'replicas-differ':
    case 'rolled-back':
    case 'step':
    case 'gradient-norms':
    case 'evaluation':
    case 'workers-left-out':
    case 'workers-taken-back':
    case 'worker-overtaken':
    case 'exchange-bound':
    case 'progress':
    case 'diverged':
    case 'run-waiting':
      return undefined;
    default:
      return event satisfies never;
  }
}

function slownessText({ where, ms, othersMs }: WorkerSlow): string {
  const what = where === 'compute' ? 'computes' : 'is reached';
  const unit = where === 'compute' ? 'a micro-batch' : 'a step';
  return (
    `${what} more slowly than the others: ${ms.toFixed(1)} ms ${unit}, the others ` +
    `${othersMs.toFixed(1)} ms`
  );
}

/** The alarm that the end of a run is. */
export function failureAlarm(error: LockstepError, { step, atMs }: Heard): Alarm {
  return { kind: 'run-failed', rank: null, step, atMs, reason: `${error.code}: ${error.message}` };
}

/** An alarm in one line: `worker-lost, rank 1, step 7: it closed its connection`. */
export function alarmText({ kind, rank, step, reason }: Alarm): string {
  return `${kind}${rank === null ? '' : `, rank ${rank}`}, step ${step}: ${reason}`;
}
