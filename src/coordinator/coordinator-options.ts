import type { Clock } from '../base/clock.ts';
import type { LockstepError } from '../base/errors.ts';
import type { Piece, PieceRequest } from '../data/parcels/piece.ts';
import type { Timing } from '../membership/timing.ts';
import type { Ledger, RunEvent } from '../metrics/events.ts';
import type { Hello, Reach, StepAccount } from '../protocol/messages.ts';
import type { Reporter } from './reporter.ts';
import type { Recollection, ReturnPoint } from './states/returning.ts';
import type { TimeSplit } from './steps/step-times.ts';
import type { Mark, Snapshot } from './steps/trajectory.ts';
import type { WorkerTally } from './tallies.ts';
import type { PlanBytes, RunPlan } from '../plan/run-plan.ts';

/** The data of a run, in pieces. */
export interface DataSource {
  /** What workers are told of them; interpreted by `data/`. */
  readonly offer: Readonly<Record<string, unknown>>;
  /** Calls back with a piece, later; false when there are no such bytes. */
  read(request: PieceRequest, done: (piece: Piece) => void): boolean;
}

/** A step that counts. */
export interface DecidedStep {
  readonly account: StepAccount;
  /** Where the run stands with it. */
  readonly mark: Mark;
  /** Workers know already. */
  readonly isKnown: boolean;
}

/** Where a run goes on whose coordinator has died. */
export interface Returned {
  readonly step: number;
  readonly point: ReturnPoint | undefined;
}

/** What the coordinator needs from the process around it. */
export interface CoordinatorOptions {
  readonly plan: RunPlan;
  readonly bytes: PlanBytes;
  readonly clock: Clock;
  readonly timing: Timing;
  /** Gives an unguessable word. */
  readonly newSession: () => string;
  /** How workers reach each other; if absent on one machine, without a key. */
  readonly reach?: Reach;
  /** Given to workers that lack the data; without it they must have them. */
  readonly data?: DataSource;
  readonly onEvent: (event: RunEvent) => void;
  /** Instead of one that tells `onEvent`. */
  readonly reporter?: Reporter;
  /**
   * A worker is asked for the state after `step` updates: all of these were told of, and nothing
   * later.
   */
  readonly onAsked?: (step: number) => void;
  /** That state is the snapshot now: all replicas have it. */
  readonly onKept?: (snapshot: Snapshot) => void;
  /** The state after the last update is the snapshot, and is evaluated next. */
  readonly onTrained?: () => void;
  /** Where the run stood before, if it may go on from what its workers have. */
  readonly recollection?: Recollection;
  /**
   * Such a run goes on after `step` updates: from the state of workers if there is a `point`, else
   * from the snapshot. It does once `begin` is called, with the last step that was evaluated.
   */
  readonly onReturned?: (returned: Returned, begin: (evaluatedStep: number) => void) => void;
  /**
   * Told of every step that counts; where workers wait for word of that, before they get it. The
   * same step may be told again, also with others after it.
   */
  readonly onDecided?: (decided: DecidedStep) => void;
  /** Told of every worker that is ready for work, before it has any. */
  readonly onReady?: (worker: Hello) => void;
  /** Told once: the run is over. */
  readonly onFinished: (result: RunResult) => void;
  /** Told once: the run cannot go on. */
  readonly onFailed: (error: LockstepError) => void;
}

/** How a run ended. */
export interface RunResult {
  readonly steps: number;
  /** The state after `steps` updates, unpadded float32: parameters, then optimizer regions. */
  readonly state: Uint8Array;
  readonly ledger: Ledger;
  readonly timeSplit: TimeSplit;
  readonly bytesSent: number;
  readonly workers: readonly WorkerTally[];
  /**
   * What the replicas themselves report of their state: equal digests, or something is badly wrong.
   */
  readonly replicaDigests: readonly {
    readonly rank: number;
    readonly weightsDigest: string;
    readonly stateDigest: string;
  }[];
}
