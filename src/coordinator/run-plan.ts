import type { EpochLayout } from '../data/batches.ts';
import type { Job } from '../protocol/messages.ts';

/** Everything about a run that is decided before the first worker joins. */
export interface RunPlan {
  readonly job: Job;
  /** The two compiled steps, as `job.trainBytes` and `job.evaluateBytes` say. */
  readonly jobFiles: Uint8Array;
  /**
   * Makes the state before the first update: parameters, then optimizer regions, unpadded float32.
   * Kept by nobody else.
   */
  readonly makeInitialState: () => Uint8Array;
  /** Bytes of a state. */
  readonly stateBytes: number;
  /** Elements of a gradient sum on the wire: the arena's padded length. */
  readonly sumElements: number;
  readonly totalSteps: number;
  readonly train: EpochLayout;
  /** Absent when nothing is evaluated. */
  readonly evaluate: (EpochLayout & { readonly split: 'test' | 'validation' }) | undefined;
  /** Whether the model is evaluated once `step` updates are done. */
  readonly evaluatesAfter: (step: number) => boolean;
  /**
   * Learning rate and all numbers of update `step` (0-based), computed once and sent to everyone.
   */
  readonly scalarsOf: (step: number) => Readonly<Record<string, number>>;
  readonly learningRateOf: (step: number) => number;
  /**
   * Part of the steps, 0..1, in which a micro-batch of every worker is computed by another one too,
   * to compare.
   */
  readonly auditRate: number;
  /** The run starts with this many workers, or with fewer (at least one) after `gatherMs`. */
  readonly minWorkers: number;
  readonly gatherMs: number;
  /**
   * How often the coordinator fetches the state from a worker, so that it survives the loss of all
   * of them.
   */
  readonly snapshotMs: number;
}
