/**
 * When a step that the coordinator leads is closed, and what a gradient counts for that comes
 * later: pure functions, no clock and no worker is named.
 */

/**
 * How steps are closed whose sums all go through the coordinator, and none of which is granted:
 * `complete` when all micro-batches are in; `deadline` with those that are in when the time is up,
 * what comes later is left out; `staleness` with those of whoever keeps up, what comes later is
 * added to the step that is under way then.
 */
export type StepClosing =
  | { readonly kind: 'complete' }
  | { readonly kind: 'deadline'; readonly timeoutMs: number }
  | {
      readonly kind: 'staleness';
      /** Steps, at least 1, between the state of a gradient and the one that it is added to. */
      readonly maxStaleness: number;
    };

/** Who needs so many times as long as the others is not waited for. */
const PATIENCE = 2;
/** Nobody is left behind for less: any process is kept from its core so long now and then. */
const LEAST_PATIENCE_MS = 20;

/** A step under way, with micro-batches that are not in. */
export interface OpenStep {
  /** Milliseconds since it began. */
  readonly elapsedMs: number;
  /** When the last micro-batches came in, since it began; undefined before the first. */
  readonly lastMs: number | undefined;
  /** Whether somebody has nothing to do. */
  readonly isAnyIdle: boolean;
  /**
   * What each worker that owes something of it, and is to be done with the others, is expected to
   * take for its part in all; undefined as long as its speed is not known.
   */
  readonly expectedMs: readonly (number | undefined)[];
}

/**
 * Milliseconds until an incomplete step is closed, 0 or less if it is now; undefined if it is not
 * before something else happens. A step has one micro-batch at least.
 */
export function closesInMs(closing: StepClosing, step: OpenStep): number | undefined {
  const { elapsedMs, lastMs, isAnyIdle, expectedMs } = step;
  if (closing.kind === 'complete' || lastMs === undefined) return undefined;
  if (closing.kind === 'deadline') return closing.timeoutMs - elapsedMs;
  if (!isAnyIdle) return undefined;
  const patienceMs = Math.max(LEAST_PATIENCE_MS, PATIENCE * lastMs);
  const mayBeInTime = expectedMs.some((ms) => ms === undefined || ms <= patienceMs);
  return mayBeInTime ? patienceMs - elapsedMs : 0;
}

/**
 * Samples that `sampleCount` samples count for in a step that is `staleness` steps after the state
 * that their gradient was computed from: n / (1 + staleness), in whole samples and at least one, so
 * that the divisor of a step stays a whole number. 0: the gradient is left out.
 *
 * Source: the blend 1 / (1 + staleness) of SmolCluster's elastic strategy; staleness-aware
 * asynchronous SGD, Zhang et al. 2016, divides by the staleness in the same way.
 */
export function staleSamples(closing: StepClosing, staleness: number, sampleCount: number): number {
  if (closing.kind !== 'staleness' || staleness > closing.maxStaleness) return 0;
  return Math.max(1, Math.round(sampleCount / (1 + staleness)));
}

/**
 * Micro-batches for which the grid of a step of `microBatchCount` has room: where gradients of
 * older steps are added, as many again.
 */
export function summandsOf(closing: StepClosing | undefined, microBatchCount: number): number {
  return closing?.kind === 'staleness' ? 2 * microBatchCount : microBatchCount;
}
