import type { Hello, KeptState } from '../protocol/messages.ts';
import type { Door } from '../protocol/peer-messages.ts';
import { Link } from './link.ts';
import { Liveness, type StallKind } from './liveness.ts';
import { Talk } from './talk.ts';
import type { Connection } from '../transport/connection.ts';

/**
 * Where a member stands:
 *   loading  welcomed; gets its data and sessions ready
 *   ready    could compute, but is not up to date
 *   syncing  is brought up to date, at its own pace: nobody waits for it
 *   active   has the state of the run and takes leases
 *   stalled  silent or stuck: gets nothing until it shows life; then it is `ready` again
 */
export type MemberPhase = 'loading' | 'ready' | 'syncing' | 'active' | 'stalled';

/** What a member tells when its data and sessions are ready. */
interface Loaded {
  readonly numericsClass: string;
  readonly trialMs?: number | undefined;
  readonly doors?: readonly Door[] | undefined;
  readonly computeScore?: number | undefined;
  readonly kept?: KeptState | undefined;
}

/** Who a member is, fixed when it is welcomed. */
export interface MemberIdentity {
  readonly session: string;
  readonly rank: number;
  readonly hello: Hello;
  readonly control: Connection;
  readonly nowMs: number;
}

/**
 * A worker process as the coordinator sees it. Its fields change in this room only; whoever decides
 * about it calls the method that is named for the decision. What others know of a member (speed,
 * leases, tally) they keep themselves.
 */
export class Member {
  readonly workerId: string;
  /** An unguessable word that ties its connections together. */
  readonly session: string;
  readonly rank: number;
  readonly hello: Hello;
  readonly welcomedMs: number;
  readonly link: Link;
  readonly liveness: Liveness;
  readonly #talk: Talk;
  #phase: MemberPhase = 'loading';
  #numericsClass: string | undefined;
  #trialMs: number | undefined;
  #score: number | undefined;
  #kept: KeptState | undefined;
  #doors: readonly Door[] = [];

  constructor({ session, rank, hello, control, nowMs }: MemberIdentity) {
    this.workerId = hello.workerId;
    this.session = session;
    this.rank = rank;
    this.hello = hello;
    this.welcomedMs = nowMs;
    this.link = new Link(control);
    this.liveness = new Liveness(nowMs);
    this.#talk = new Talk(nowMs);
  }

  get phase(): MemberPhase {
    return this.#phase;
  }

  /** Whether its data and sessions are ready. */
  get isLoaded(): boolean {
    return this.#numericsClass !== undefined;
  }

  /** Equal on workers that agree bit for bit; empty until it is loaded. */
  get numericsClass(): string {
    return this.#numericsClass ?? '';
  }

  /** Whether it may say one more thing; who floods may not. */
  mayTalk(nowMs: number): boolean {
    return this.#talk.mayGoOn(this.link.messagesSent, nowMs);
  }

  /** Where other workers reach it; empty if they do not, or until it is loaded. */
  get doors(): readonly Door[] {
    return this.#doors;
  }

  /** What one micro-batch took it before it was ready; undefined: it does not say. */
  get trialMs(): number | undefined {
    return this.#trialMs;
  }

  /** About how fast its machine should be, if it was measured (`computeScore`). */
  get score(): number | undefined {
    return this.#score;
  }

  /** The state that it came with, if it was asked for one. */
  get kept(): KeptState | undefined {
    return this.#kept;
  }

  /** Its data and sessions are ready, and others reach it at `doors`. */
  load({ numericsClass, trialMs, doors = [], computeScore, kept }: Loaded): void {
    this.#numericsClass = numericsClass;
    this.#trialMs = trialMs;
    this.#doors = doors;
    this.#score = computeScore;
    this.#kept = kept;
  }

  /** Makes it ready for a state if it is loaded and all its connections stand; true if they do. */
  becomeReady(nowMs: number): boolean {
    if (this.#phase !== 'loading' || !this.#isWhole) return false;
    this.#phase = 'ready';
    this.liveness.restartPatience(nowMs);
    return true;
  }

  /** It is brought up to date from now on. */
  follow(): void {
    this.#phase = 'syncing';
  }

  /** Nobody brings, or keeps, it up to date any more. */
  stopFollowing(): void {
    this.#phase = 'ready';
  }

  /** It has the state of the run. */
  activate(): void {
    this.#phase = 'active';
  }

  /** It is silent or stuck. */
  stall(kind: StallKind, nowMs: number): void {
    this.#phase = 'stalled';
    this.liveness.beginStall(kind, nowMs);
  }

  /** It shows life again. */
  revive(nowMs: number): void {
    this.liveness.endStall(nowMs);
    this.#phase = this.#isWhole ? 'ready' : 'loading';
  }

  get #isWhole(): boolean {
    return this.isLoaded && this.link.isWhole;
  }
}
