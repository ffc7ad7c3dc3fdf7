import type { Clock } from '../base/clock.ts';
import type { LockstepError } from '../base/errors.ts';
import type { Hello, Job, Reach } from '../protocol/messages.ts';
import type { EngineFactory } from '../runtime/engine.ts';
import type { Connection } from '../transport/connection.ts';
import type { Luggage } from './parting.ts';
import type { PeerNetwork } from './peer-network.ts';

/** Who this worker is; the same over reconnections. */
type WorkerIdentity = Pick<
  Hello,
  'workerId' | 'host' | 'rank' | 'processId' | 'lanes' | 'device' | 'software'
>;

/** What the worker needs from the process around it. */
export interface WorkerOptions {
  readonly identity: WorkerIdentity;
  readonly clock: Clock;
  readonly createEngine: EngineFactory;
  /**
   * Opens another connection to the same coordinator; calls back with it, or not at all if that
   * fails.
   */
  readonly openConnection: (opened: (connection: Connection) => void) => void;
  /** Starts beating on a connection of its own, from a thread of its own. */
  readonly startHeartbeat: (hello: Hello) => void;
  /** Absent: this worker reaches no other, and takes no part in groups. */
  readonly peers?: PeerNetwork;
  /** Bytes of the pieces in which it gives its state to others; a mebibyte if absent. */
  readonly pieceBytes?: number;
  /** What it has of a run that it was in before. */
  readonly luggage?: Luggage | undefined;
  readonly onWelcome: (rank: number, job: Job, reach: Reach) => void;
  /** Told once: rejected for good, dismissed, or failed. The connections are closed. */
  readonly onEnd: (end: WorkerEnd) => void;
}

/** Why a worker has ended; only a disconnected one may join again. */
export type WorkerEnd =
  | { readonly kind: 'dismissed'; readonly reason: string }
  /** `isDenied`: its key gives it no right to be there, or not any more. */
  | { readonly kind: 'refused'; readonly reason: string; readonly isDenied?: true }
  /** `wasRefused`: somebody was there, and said so. `luggage`: what it takes along from the run. */
  | {
      readonly kind: 'disconnected';
      readonly reason: string;
      readonly wasRefused?: boolean;
      readonly luggage?: Luggage;
    }
  | { readonly kind: 'failed'; readonly error: LockstepError };
