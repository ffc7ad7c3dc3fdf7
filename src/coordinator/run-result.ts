import type { Ledger } from '../metrics/events.ts';
import type { TimeSplit } from './step-times.ts';
import type { WorkerTally } from './tallies.ts';

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
