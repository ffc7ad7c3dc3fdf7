/** Whether the detectors found a fault, judged by what they said and nothing else. */
import { type Alarm, alarmText } from './alarms.ts';
import type { Fault } from './fault-catalogue.ts';
import type { FaultResult } from '../results/result.ts';

/** `affected_rank` of a fault that is in no worker. */
export const NO_WORKER = -1;

/** When a fault began. */
export interface Injection {
  /** The step under way. */
  readonly step: number;
  /** Milliseconds since 1970. */
  readonly atMs: number;
}

/** A run as it was seen from outside. */
export interface ObservedRun {
  readonly end: 'finished' | 'failed' | 'out-of-time';
  readonly alarms: readonly Alarm[];
  /**
   * Digest of weights and optimizer state after the last step; undefined when it was not reached.
   */
  readonly stateDigest: string | undefined;
  /** Mean loss of every step that is part of the result, in order. */
  readonly losses: readonly number[];
  readonly seconds: number;
}

/** A run, the fault in it, and the run without it. */
export interface FaultTrial {
  readonly fault: Fault;
  readonly affectedRank: number;
  readonly seed: number;
  /** Undefined when the run ended before the fault began. */
  readonly injection: Injection | undefined;
  readonly run: ObservedRun;
  readonly control: ObservedRun;
  /** How far losses may be from the control's, as a part of them, when digests differ. */
  readonly tolerance: number;
}

/**
 * The verdict. Detected means: the first alarm since the injection is of a kind that shows this
 * fault, and names the worker that has it. Alarms before the injection, and any about other
 * workers, are false alarms.
 */
export function judgeFault(trial: FaultTrial): FaultResult {
  const { fault, affectedRank, seed, injection, run, control } = trial;
  const since = run.alarms.filter(({ atMs }) => injection !== undefined && atMs >= injection.atMs);
  const first = since[0];
  const named = first === undefined ? null : (first.rank ?? NO_WORKER);
  const isShown = first !== undefined && fault.shownBy.includes(first.kind);
  const wasDetected = isShown && named === affectedRank;
  const isEqual = run.stateDigest === undefined ? null : run.stateDigest === control.stateDigest;
  return {
    fault_type: fault.name,
    affected_rank: affectedRank,
    was_detected: wasDetected,
    reason: reasonOf(trial, first, wasDetected),
    named_rank: named,
    injection_step: injection?.step ?? null,
    detected_step: wasDetected ? first.step : null,
    detection_latency_steps: wasDetected ? latencySteps(first, injection) : null,
    detection_latency_ms:
      wasDetected && injection !== undefined ? first.atMs - injection.atMs : null,
    recovered:
      run.end === 'finished' && (isEqual === true || areClose(run, control, trial.tolerance)),
    digest_equal: isEqual,
    loss_curve: [...run.losses],
    seed,
    status: injection === undefined ? 'never began' : wasDetected ? 'detected' : 'missed',
    expected_to_recover: fault.isSurvived,
    false_alarms: run.alarms
      .filter((alarm) => !since.includes(alarm) || (alarm.rank ?? affectedRank) !== affectedRank)
      .map(alarmText),
    seconds: run.seconds,
  };
}

/** Never negative: a run may have been rolled back in between. */
function latencySteps(alarm: Alarm, injection: Injection | undefined): number | null {
  return injection === undefined ? null : Math.max(0, alarm.step - injection.step);
}

function reasonOf(
  { fault, affectedRank, injection, run }: FaultTrial,
  first: Alarm | undefined,
  wasDetected: boolean,
): string {
  if (injection === undefined) return `the run ended before the fault began: ${endOf(run)}`;
  if (first === undefined) return `no detector said anything; ${endOf(run)}`;
  if (wasDetected) return first.reason;
  const expected =
    'expected ' +
    `${fault.shownBy.join(' or ')}${affectedRank === NO_WORKER ? '' : ` of rank ${affectedRank}`}`;
  return `${expected}, but the first alarm was ${alarmText(first)}`;
}

function endOf({ end, losses }: ObservedRun): string {
  if (end === 'finished') return `the run finished after ${losses.length} steps`;
  return end === 'failed'
    ? `the run failed after ${losses.length} steps`
    : `the run was ended after ${losses.length} steps, out of time`;
}

/** Whether every loss is as near to the control's as `tolerance` allows. */
function areClose(run: ObservedRun, control: ObservedRun, tolerance: number): boolean {
  if (run.losses.length !== control.losses.length) return false;
  return run.losses.every((loss, step) => {
    const wanted = control.losses[step] ?? Number.NaN;
    return Math.abs(loss - wanted) <= tolerance * Math.abs(wanted);
  });
}
