/** When a member was last heard of and last got on with something, and what follows from it. */
import type { Timing } from './timing.ts';

/** Why a member is stalled; a stuck one comes back only with progress. */
export type StallKind = 'silent' | 'stuck';

/** Signs of life and of progress of one member, milliseconds of the coordinator's clock. */
export class Liveness {
  #joinedMs: number;
  #heardMs: number;
  /** Its own counter of finished micro-batches. */
  #progress = 0;
  #progressMs: number;
  #stall: StallKind | undefined;
  #stalledMs = 0;

  constructor(nowMs: number) {
    this.#joinedMs = this.#heardMs = this.#progressMs = nowMs;
  }

  /** Since when it has had the same work without progress. */
  get progressMs(): number {
    return this.#progressMs;
  }

  /** Why it is stalled, if it is. */
  get stall(): StallKind | undefined {
    return this.#stall;
  }

  /** How long nothing was heard of it. */
  silentMs(nowMs: number): number {
    return nowMs - this.#heardMs;
  }

  /** Anything came from it. */
  hear(nowMs: number): void {
    this.#heardMs = nowMs;
  }

  /** Its counter stands at `progress`; true when that is new. */
  beat(progress: number, nowMs: number): boolean {
    if (progress === this.#progress) return false;
    this.#progress = progress;
    this.#progressMs = nowMs;
    return true;
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
    if (phase.isLoading && nowMs - this.#joinedMs > loadingMs)
      return { kind: 'evict', reason: `not ready after ${seconds(loadingMs)} s` };
    // Loading may keep a process too busy for signs of life.
    if (!phase.isLoaded) return undefined;
    const reason = `no sign of life for ${seconds(silentMs)} s`;
    if (silentMs > deadMs) return { kind: 'evict', reason };
    if (this.#stall === 'stuck' && nowMs - this.#stalledMs > 4 * deadMs)
      return { kind: 'evict', reason: `no progress for ${seconds(nowMs - this.#progressMs)} s` };
    if (silentMs > stallMs && this.#stall === undefined) return { kind: 'stall', silentMs, reason };
    return undefined;
  }
}

/** What is to be done with a member. */
export type Verdict =
  | { readonly kind: 'evict'; readonly reason: string }
  | { readonly kind: 'stall'; readonly silentMs: number; readonly reason: string };

function seconds(ms: number): string {
  return (ms / 1000).toFixed(1);
}
