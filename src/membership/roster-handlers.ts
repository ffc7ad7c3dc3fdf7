import type { ReceivedData, ToCoordinator } from '../protocol/messages.ts';
import type { Member } from './member.ts';

/** Somebody was turned away. */
export interface Rejection {
  readonly peer: string;
  /**
   * The rank that it asked for, or that the member has that it says it is; absent when it named
   * none.
   */
  readonly rank?: number;
  readonly reason: string;
}

/** A member is silent or stuck. */
export interface Stall {
  /** How long it was silent, or without progress. */
  readonly silentMs: number;
  readonly reason: string;
}

/** What the roster tells its owner. */
export interface RosterHandlers {
  /** Has its data, sessions and connections; may be given a state. */
  onReady(member: Member): void;
  onMessage(member: Member, message: ToCoordinator, payload: Uint8Array): void;
  /** Memory for the payload of a frame that `member` is sending. */
  payloadTarget(member: Member, kind: unknown, byteLength: number): Uint8Array | undefined;
  onStalled(member: Member, stall: Stall): void;
  /** A stalled member shows life again. */
  onRevived(member: Member): void;
  onLost(member: Member, reason: string): void;
  onRejected(rejection: Rejection): void;
  /** Has the data of the run, which came from here. */
  onDataReceived(member: Member, received: ReceivedData): void;
  /** The wall clock of a member's machine was set, by so much. */
  onClockJumped(member: Member, jumpMs: number): void;
  /** Called at every tick with the current time, after liveness was judged. */
  onTick(nowMs: number): void;
}
