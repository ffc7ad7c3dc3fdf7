/**
 * When a member was last heard of and last got on with something, and what follows from it.
 * Heartbeats prove life, and that it hears us; micro-batches, and bytes on their way to it or from
 * it, prove work.
 */
import { Blockages, type FrameCounts, type OwnCounts } from './blockages.ts';
import type { Timing } from './timing.ts';

/**
 * Why a member is stalled. A stuck one comes back only with progress; a deaf one, whose heartbeats
 * are heard and which hears nothing itself, or with which one connection passes nothing, only with
 * signs that this is over.
 */
export type StallKind = 'silent' | 'deaf' | 'stuck';

/** However long a micro-batch takes: a lane that has been in one for so long is lost in it. */
export const LONGEST_MICRO_BATCH_MS = 3_600_000;

/** Between two heartbeats so much counts at most: one of the two sides slept through more. */
const LONGEST_BEAT_MS = 500;

/** What went over a member's connections, at one look. */
export interface Traffic {
  /** Bytes that came from it so far. */
  readonly heardBytes: number;
  /** The same without heartbeats. */
  readonly workBytes: number;
  /** Bytes that wait to go to it. */
  readonly waitingBytes: number;
}

/** What a member says of itself with each heartbeat. */
interface Signs {
  /** Its own counter of finished micro-batches. */
  readonly progress: number;
  /** Lanes that compute. */
  readonly busyLanes?: number | undefined;
  readonly receivedBytes?: number | undefined;
  /** Answers to its heartbeats that it has heard. */
  readonly echoes?: number | undefined;
  readonly frames?: FrameCounts | undefined;
  readonly use?: MachineUse | undefined;
}

/** Percent, 0 to 100, of a machine's processor and of its memory that are in use. */
export interface MachineUse {
  readonly cpu: number;
  readonly memory: number;
}

const NO_TRAFFIC: Traffic = { heardBytes: 0, workBytes: 0, waitingBytes: 0 };

/** Signs of life and of progress of one member, milliseconds of the coordinator's clock. */
export class Liveness {
  #joinedMs: number;
  #heardMs: number;
  /** Its own counter of finished micro-batches. */
  #progress = 0;
  /** What it has received, as it says itself: much may lie on the way, and wait nowhere else. */
  #receivedBytes = 0;
  /** Answers to its heartbeats that it has heard. */
  #echoes = 0;
  #beatMs: number | undefined;
  /** For how long its heartbeats have said that nothing more has reached it. */
  #deafMs = 0;
  readonly #blockages = new Blockages();
  #busyLanes = 0;
  #use: MachineUse = { cpu: 0, memory: 0 };
  #progressMs: number;
  #traffic = NO_TRAFFIC;
  /** When its connections were last looked at: what moved since then did so after that. */
  #watchedMs: number;
  #stall: StallKind | undefined;
  #stalledMs = 0;

  constructor(nowMs: number) {
    this.#joinedMs = this.#heardMs = this.#progressMs = this.#watchedMs = nowMs;
  }

  /** Since when it has had the same work without progress. */
  get progressMs(): number {
    return this.#progressMs;
  }

  /** Its own counter of finished micro-batches, as it was last heard. */
  get progress(): number {
    return this.#progress;
  }

  /** Whether any of its lanes computes, as it said last. */
  get isComputing(): boolean {
    return this.#busyLanes > 0;
  }

  /** How busy its machine is, as it said last. */
  get use(): MachineUse {
    return this.#use;
  }

  /** Why it is stalled, if it is. */
  get stall(): StallKind | undefined {
    return this.#stall;
  }

  /** How long nothing was heard of it. */
  silentMs(nowMs: number): number {
    return nowMs - this.#heardMs;
  }

  /** Whether its last heartbeat said that it hears us, and that nothing between us is stuck. */
  get isReached(): boolean {
    return this.#deafMs === 0 && this.#blockages.longestMs === 0;
  }

  /** Anything came from it. */
  hear(nowMs: number): void {
    this.#heardMs = nowMs;
  }

  /**
   * It says how far it is; true when that is further than before. `ours` is what we have sent and
   * received by now.
   */
  beat(signs: Signs, nowMs: number, ours?: OwnCounts): boolean {
    const { progress, busyLanes = 0, receivedBytes = 0, use } = signs;
    const beatMs = Math.min(LONGEST_BEAT_MS, nowMs - (this.#beatMs ?? nowMs));
    this.#beatMs = nowMs;
    this.#noteHearing(signs, beatMs);
    // Lanes that compute may leave a busy machine no time to read.
    const isAtWork = busyLanes > 0 || progress !== this.#progress;
    if (ours !== undefined && signs.frames !== undefined)
      this.#blockages.note({ ours, theirs: signs.frames, receivedBytes, isAtWork, beatMs });
    this.#busyLanes = busyLanes;
    this.#use = use ?? this.#use;
    if (progress === this.#progress && receivedBytes <= this.#receivedBytes) return false;
    this.#progress = progress;
    this.#receivedBytes = receivedBytes;
    this.#progressMs = nowMs;
    return true;
  }

  #noteHearing({ echoes, receivedBytes = 0 }: Signs, beatMs: number): void {
    const hears =
      echoes === undefined || echoes > this.#echoes || receivedBytes > this.#receivedBytes;
    this.#deafMs = hears ? 0 : this.#deafMs + beatMs;
    this.#echoes = echoes ?? 0;
  }

  /** Looks at its connections; true when that ends its stall. */
  watch(traffic: Traffic, nowMs: number): boolean {
    const before = this.#traffic;
    const sinceMs = this.#watchedMs;
    this.#traffic = traffic;
    this.#watchedMs = nowMs;
    const isHeard = traffic.heardBytes > before.heardBytes;
    if (isHeard) this.#heardMs = Math.max(this.#heardMs, sinceMs);
    const moves =
      traffic.workBytes > before.workBytes || traffic.waitingBytes < before.waitingBytes;
    if (moves) this.#progressMs = Math.max(this.#progressMs, sinceMs);
    return (this.#stall === 'silent' && isHeard) || (this.#stall === 'stuck' && moves);
  }

  /** Its patience begins anew: it has other work than before, or has finished some. */
  restartPatience(nowMs: number): void {
    this.#progressMs = nowMs;
  }

  /** It is silent or stuck from now on. */
  beginStall(kind: StallKind, nowMs: number): void {
    this.#stall = kind;
    this.#stalledMs = nowMs;
  }

  /** It shows life again. */
  endStall(nowMs: number): void {
    this.#stall = undefined;
    this.#progressMs = nowMs;
  }

  /**
   * Moves what was last seen forward, but never past now: who was heard after the pause was heard
   * now.
   */
  forgive(durationMs: number, nowMs: number): void {
    const later = (ms: number): number => Math.min(nowMs, ms + durationMs);
    this.#joinedMs = later(this.#joinedMs);
    this.#heardMs = later(this.#heardMs);
    this.#progressMs = later(this.#progressMs);
    this.#stalledMs = later(this.#stalledMs);
  }

  /** What its silence calls for now; `phase` is where it stands. */
  judge(
    phase: { readonly isLoading: boolean; readonly isLoaded: boolean },
    timing: Timing,
    nowMs: number,
  ): Verdict | undefined {
    const { stallMs, deadMs, loadingMs } = timing;
    const silentMs = this.silentMs(nowMs);
    // Its lanes may compile large steps, and try a long micro-batch.
    const isAtWork = this.isComputing && silentMs <= loadingMs;
    const mostMs = isAtWork ? LONGEST_MICRO_BATCH_MS : loadingMs;
    if (phase.isLoading && nowMs - Math.max(this.#joinedMs, this.#progressMs) > mostMs)
      return { kind: 'evict', reason: `not ready after ${seconds(mostMs)} s` };
    // Loading may keep a process too busy for signs of life.
    if (!phase.isLoaded) return undefined;
    const reason = `no sign of life for ${seconds(silentMs)} s`;
    if (silentMs > deadMs) return { kind: 'evict', reason };
    const deafness = `it hears nothing of the coordinator, for ${seconds(this.#deafMs)} s`;
    if (this.#deafMs > deadMs) return { kind: 'evict', reason: deafness };
    const blockedMs = this.#blockages.longestMs;
    const blockage = `a connection between us passes nothing, for ${seconds(blockedMs)} s`;
    if (blockedMs > deadMs) return { kind: 'evict', reason: blockage };
    const patienceMs = this.isComputing ? LONGEST_MICRO_BATCH_MS : deadMs;
    if (this.#stall === 'stuck' && nowMs - this.#stalledMs > patienceMs)
      return { kind: 'evict', reason: `no progress for ${seconds(nowMs - this.#progressMs)} s` };
    if (this.#stall !== undefined) return undefined;
    if (silentMs > stallMs) return { kind: 'stall', stall: 'silent', silentMs, reason };
    if (this.#deafMs > stallMs)
      return { kind: 'stall', stall: 'deaf', silentMs: this.#deafMs, reason: deafness };
    if (blockedMs > stallMs)
      return { kind: 'stall', stall: 'deaf', silentMs: blockedMs, reason: blockage };
    return undefined;
  }
}

/** What is to be done with a member. */
export type Verdict =
  | { readonly kind: 'evict'; readonly reason: string }
  | {
      readonly kind: 'stall';
      readonly stall: StallKind;
      readonly silentMs: number;
      readonly reason: string;
    };

function seconds(ms: number): string {
  return (ms / 1000).toFixed(1);
}
