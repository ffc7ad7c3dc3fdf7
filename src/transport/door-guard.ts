/**
 * Keeps a door from being worn out by strangers: so many may be at it at once, of one machine and
 * of all, and a machine that fails again and again waits longer and longer.
 */
import type { Clock } from '../base/clock.ts';

/** Handshakes under way. */
const MAX_STRANGERS = 64;
const MAX_STRANGERS_PER_HOST = 16;
/** Failures of one machine that cost it nothing, within a minute. */
const FREE_FAILURES = 5;
const MEMORY_MS = 60_000;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;
/** Machines that are remembered. */
const MAX_HOSTS = 1_024;

interface Record {
  failures: number;
  lastMs: number;
  closedUntilMs: number;
}

/** Who may knock at a door. */
export class DoorGuard {
  readonly #clock: Clock;
  readonly #records = new Map<string, Record>();
  readonly #strangers = new Map<string, number>();
  #count = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Lets a stranger of `host` begin its handshake, unless there are too many or it must wait. */
  admit(host: string): boolean {
    const ofHost = this.#strangers.get(host) ?? 0;
    const closedUntilMs = this.#records.get(host)?.closedUntilMs ?? 0;
    if (this.#count >= MAX_STRANGERS || ofHost >= MAX_STRANGERS_PER_HOST) return false;
    if (this.#clock.now() < closedUntilMs) return false;
    this.#strangers.set(host, ofHost + 1);
    this.#count++;
    return true;
  }

  /** The handshake of one that was admitted is over. */
  settle(host: string, isWelcome: boolean): void {
    const ofHost = (this.#strangers.get(host) ?? 1) - 1;
    if (ofHost > 0) this.#strangers.set(host, ofHost);
    else this.#strangers.delete(host);
    this.#count--;
    if (isWelcome) this.#records.delete(host);
    else this.#fail(host);
  }

  #fail(host: string): void {
    const nowMs = this.#clock.now();
    const before = this.#records.get(host);
    const isRecent = before !== undefined && nowMs - before.lastMs < MEMORY_MS;
    const failures = isRecent ? before.failures + 1 : 1;
    const doublings = failures - FREE_FAILURES;
    const pauseMs =
      doublings <= 0 ? 0 : Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (doublings - 1));
    this.#records.delete(host);
    this.#records.set(host, { failures, lastMs: nowMs, closedUntilMs: nowMs + pauseMs });
    const [oldest] = this.#records.keys();
    if (this.#records.size > MAX_HOSTS && oldest !== undefined) this.#records.delete(oldest);
  }
}
