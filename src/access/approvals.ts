/**
 * Newcomers that a person must let in: they wait, so many at most and so long at most, until
 * somebody has compared the digits that both ends show.
 */
import type { Clock } from '../base/clock.ts';
import { remember } from '../base/remember.ts';
import { TokenBucket } from '../base/token-bucket.ts';
import type { ApprovalEnded, RunEvent } from '../metrics/events.ts';
import { addressOfPeer } from '../transport/loopback.ts';

/** How long a newcomer waits for a person. */
export const APPROVAL_MS = 300_000;
/** Newcomers that wait, of all addresses and of one. */
const MAX_WAITING = 32;
const MAX_WAITING_PER_ADDRESS = 4;
/** How often the person is asked about one address at once, and beyond that. */
const ASKED_AT_ONCE = 8;
const REFILL_MS = 15_000;

/** Somebody with a token. */
export interface Newcomer {
  readonly peer: string;
  /** Who it is, in its own words. */
  readonly holder: string;
  /** Six digits, which its screen shows. */
  readonly code: string;
}

/** A person who sees the digits of newcomers. */
export interface Approver {
  /**
   * Asks whether a newcomer is to come in; its code is no other's who waits. Gives what takes the
   * question back.
   */
  ask(newcomer: Newcomer, onAnswer: (isWelcome: boolean) => void): () => void;
}

/** Why somebody does not come in: for good, or for now. */
export interface Refusal {
  readonly reason: string;
  readonly isForNow?: true;
}

type Outcome = ApprovalEnded['became'] | 'over';

const REASONS: Readonly<Record<Exclude<Outcome, 'approved'>, string>> = {
  denied: 'the person at the coordinator has turned it away',
  'timed-out':
    `nobody at the coordinator confirmed the code within ${APPROVAL_MS / 60_000} minutes: ` +
    'join again when somebody is there',
  left: 'it went away before it was let in',
  over: 'the run is over',
};

/** Somebody who waits, and the question that was asked about it. */
interface Waiting {
  readonly newcomer: Newcomer;
  readonly settle: (outcome: Outcome) => void;
  takeBack?: () => void;
}

/** Who waits to be let in. */
export class Approvals {
  readonly #clock: Clock;
  readonly #approver: Approver;
  readonly #waiting = new Set<Waiting>();
  readonly #buckets = new Map<string, TokenBucket>();
  #tell: ((event: RunEvent) => void) | undefined;

  constructor(clock: Clock, approver: Approver) {
    this.#clock = clock;
    this.#approver = approver;
  }

  /** From now on the person is asked, also about those who wait, and `tell` hears of it. */
  begin(tell: (event: RunEvent) => void): void {
    this.#tell = tell;
    for (const one of this.#waiting) this.#ask(one, tell);
  }

  /**
   * Has a newcomer wait until it is let in, for `APPROVAL_MS` at most, or until `gone` is aborted.
   * Then `onEnd` is told why it does not come in; undefined if it does.
   */
  request(
    newcomer: Newcomer,
    gone: AbortSignal,
    onEnd: (refusal: Refusal | undefined) => void,
  ): void {
    const crowd = this.#crowd(newcomer);
    if (crowd !== undefined) return onEnd({ reason: crowd, isForNow: true });
    const sinceMs = this.#clock.now();
    const leave = (): void => waiting.settle('left');
    const timer = this.#clock.after(APPROVAL_MS, () => waiting.settle('timed-out'));
    const waiting: Waiting = {
      newcomer,
      settle: (outcome) => {
        if (!this.#waiting.delete(waiting)) return;
        timer.cancel();
        gone.removeEventListener('abort', leave);
        waiting.takeBack?.();
        this.#tellEnd(newcomer, outcome, this.#clock.now() - sinceMs);
        onEnd(outcome === 'approved' ? undefined : { reason: REASONS[outcome] });
      },
    };
    this.#waiting.add(waiting);
    gone.addEventListener('abort', leave);
    if (this.#tell !== undefined) this.#ask(waiting, this.#tell);
  }

  /** Turns away all who wait. */
  close(): void {
    for (const { settle } of [...this.#waiting]) settle('over');
  }

  /** Why a newcomer cannot even wait; undefined if it can. */
  #crowd({ peer, code }: Newcomer): string | undefined {
    const address = addressOfPeer(peer);
    const all = [...this.#waiting].map(({ newcomer }) => newcomer);
    const neighbours = all.filter((other) => addressOfPeer(other.peer) === address);
    const later = 'Try again later.';
    if (all.length >= MAX_WAITING) return `${all.length} others wait to be let in. ${later}`;
    if (neighbours.length >= MAX_WAITING_PER_ADDRESS)
      return `${neighbours.length} others of this address wait to be let in. ${later}`;
    if (all.some((other) => other.code === code))
      return 'another newcomer happens to have the same code. Try again.';
    const nowMs = this.#clock.now();
    const known = this.#buckets.get(address);
    const bucket = known ?? new TokenBucket(ASKED_AT_ONCE, REFILL_MS, nowMs);
    if (remember(this.#buckets, address, bucket).take(nowMs)) return undefined;
    return `this address has asked too often. ${later}`;
  }

  #ask(waiting: Waiting, tell: (event: RunEvent) => void): void {
    const { newcomer, settle } = waiting;
    const { peer, holder } = newcomer;
    tell({ kind: 'approval-asked', peer, holder });
    waiting.takeBack = this.#approver.ask(newcomer, (isWelcome) =>
      settle(isWelcome ? 'approved' : 'denied'),
    );
  }

  #tellEnd({ peer, holder }: Newcomer, became: Outcome, waitedMs: number): void {
    if (became !== 'over') this.#tell?.({ kind: 'approval-ended', peer, holder, became, waitedMs });
  }
}
