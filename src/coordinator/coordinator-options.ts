import type { Clock } from '../base/clock.ts';
import type { LockstepError } from '../base/errors.ts';
import type { Timing } from '../membership/timing.ts';
import type { RunEvent } from '../metrics/events.ts';
import type { Hello } from '../protocol/messages.ts';
import type { Reporter } from './reporter.ts';
import type { RunResult } from './run-result.ts';
import type { PlanBytes, RunPlan } from '../plan/run-plan.ts';

/** What the coordinator needs from the process around it. */
export interface CoordinatorOptions {
  readonly plan: RunPlan;
  readonly bytes: PlanBytes;
  readonly clock: Clock;
  readonly timing: Timing;
  /** Gives an unguessable word. */
  readonly newSession: () => string;
  readonly onEvent: (event: RunEvent) => void;
  /** Instead of one that tells `onEvent`. */
  readonly reporter?: Reporter;
  /** The state after the last update is the snapshot, and is evaluated next. */
  readonly onTrained?: () => void;
  /** Told of every worker that is ready for work, before it has any. */
  readonly onReady?: (worker: Hello) => void;
  /** Told once: the run is over. */
  readonly onFinished: (result: RunResult) => void;
  /** Told once: the run cannot go on. */
  readonly onFailed: (error: LockstepError) => void;
}
