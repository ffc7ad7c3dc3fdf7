import type { Connection } from '../transport/connection.ts';
import type { Hello } from '../protocol/messages.ts';

/**
 * Where a member stands:
 *   loading  welcomed; gets its data and sessions ready
 *   ready    could compute, but has no state
 *   syncing  a state is being fetched for it from another worker
 *   active   has the state of the run and takes leases
 *   stalled  silent or stuck: holds no leases and gets nothing until it shows life; then it is
 *   `ready` again
 */
export type MemberPhase = 'loading' | 'ready' | 'syncing' | 'active' | 'stalled';

/** A worker process as the coordinator sees it. */
export interface Member {
  readonly workerId: string;
  readonly session: string;
  readonly rank: number;
  readonly hello: Hello;
  /** Somebody with the same identity was turned away. */
  hasDouble: boolean;
  readonly control: Connection;
  data: Connection | undefined;
  heartbeat: Connection | undefined;
  phase: MemberPhase;
  isLoaded: boolean;
  numericsClass: string;
  joinedMs: number;
  /** By how much its wall clock was ahead of its monotonic one, at its last heartbeat. */
  wallAheadMs: number | undefined;
  /** When anything was last heard of it. */
  heardMs: number;
  /** Its counter of finished micro-batches, and when that (or its work) last changed. */
  progress: number;
  progressMs: number;
  /** When it was last given work while it had none, or was last heard to have finished some. */
  givenMs: number;
  /** Why it is stalled; a stuck one comes back only with progress. */
  stall: 'silent' | 'stuck' | undefined;
  stalledMs: number;
  /** Whether it had the state of the run when it stalled. */
  wasActive: boolean;
  /**
   * While an answer about its state is owed: bytes received on the data connection, and when they
   * last grew.
   */
  answerBytes: number;
  answerMs: number;
  /** Exponential mean of milliseconds per micro-batch on one lane. */
  microBatchMs: number | undefined;
  /**
   * Training passes in which it got no work since it last got some, because the others are faster;
   * and when that was.
   */
  idlePasses: number;
  workedMs: number;
  /** How often it was tried since it last had work of right. */
  trialCount: number;
  /** A `release` was sent for this pass and is not answered. */
  releaseAskedPass: number | undefined;
  /** The pass in which it last had nothing to give back. */
  nothingToReleasePass: number | undefined;
  sampleCount: number;
  microBatchCount: number;
  firstContributionMs: number | undefined;
}

const SPEED_MEMORY = 0.8;

/**
 * Learns the speed of a member from one measured micro-batch. What was known before a trial is out
 * of date.
 */
export function learnSpeed(member: Member, microBatchMs: number): void {
  const before = member.trialCount > 0 ? undefined : member.microBatchMs;
  member.microBatchMs =
    before === undefined ? microBatchMs : SPEED_MEMORY * before + (1 - SPEED_MEMORY) * microBatchMs;
}

/** Whether all three connections stand and its data and sessions are ready. */
export function isFullyConnected(member: Member): boolean {
  return member.isLoaded && member.data !== undefined && member.heartbeat !== undefined;
}
