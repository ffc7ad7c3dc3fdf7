import type { LockstepError } from '../base/errors.ts';
import type { Pass } from './steps/pass.ts';

/** What the parts of a run may ask of the step under way. */
export interface StepControl {
  /** The pass under way. */
  pass(): Pass | undefined;
  /** Whether the run has ended, in whatever way. */
  isOver(): boolean;
  /**
   * Ends the group of workers that adds up among itself: what it has not added up goes through the
   * coordinator.
   */
  leaveGroup(): void;
  /** Gives up the pass under way: what was computed for it is void. */
  abandon(): void;
  /** Begins or finishes whatever can be now. */
  advance(): void;
  /** Ends the run, which cannot go on. */
  fail(error: LockstepError): void;
}
