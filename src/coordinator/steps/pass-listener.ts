/**
 * What happens to the passes of a run, in one vocabulary for everyone who keeps account of them.
 * These are facts: a listener is asked for nothing, and what it decides it does when its owner asks
 * it later.
 */
import type { Member } from '../../membership/member.ts';
import type { Contribution } from '../../protocol/messages.ts';
import type { Pass, PassSpec } from './pass.ts';
import type { Outcome } from './trajectory.ts';

/** A pass that begins, and who takes part. */
export interface BegunPass {
  readonly pass: Pass;
  readonly members: readonly Member[];
  /** The members compute it without being told: they were granted the step. */
  readonly isGranted: boolean;
  /** Of a granted pass of a group: micro-batches of a whole step that each member computes. */
  readonly shares?: readonly number[];
  readonly nowMs: number;
}

/** A contribution that was counted. */
export interface CountedPart {
  readonly member: Member;
  readonly spec: PassSpec;
  readonly contribution: Contribution;
  /** Milliseconds since `member` was given this work, or was last heard to have finished some. */
  readonly turnaroundMs: number;
  readonly nowMs: number;
}

/** A pass that is complete, and what that means for the run. */
export interface CompletedPass {
  readonly spec: PassSpec;
  readonly outcome: Exclude<Outcome, { readonly kind: 'failed' }>;
  readonly nowMs: number;
}

/** A member that does nothing more for now, or for good. */
export type Leaving =
  | {
      readonly how: 'stalled';
      readonly member: Member;
      /** Updates committed when it left. */
      readonly step: number;
      readonly reason: string;
      readonly silentMs: number;
    }
  | {
      readonly how: 'lost';
      readonly member: Member;
      readonly step: number;
      readonly reason: string;
    };

/** The steps after `toStep` are void: they will be computed again. */
export interface UndoneSteps {
  readonly fromStep: number;
  readonly toStep: number;
  /** A worker that is put out had a part in them; or replicas differ, and all begin anew. */
  readonly reason: 'distrusted' | 'differing';
  readonly nowMs: number;
}

/** Hears what happens; it leaves out what does not concern it. */
export interface PassListener {
  begun?(begun: BegunPass): void;
  counted?(part: CountedPart): void;
  completed?(completed: CompletedPass): void;
  /** Nothing is counted of the pass under way any more: it is contributed once more. */
  reopened?(nowMs: number): void;
  /** The pass under way is void; what was counted for it is in no step. */
  abandoned?(): void;
  left?(leaving: Leaving): void;
  undone?(undone: UndoneSteps): void;
}
