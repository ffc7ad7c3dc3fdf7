/** Tells of those who are not let in at a door: of each machine at once, and then seldom. */
import type { Clock } from '../base/clock.ts';
import { remember } from '../base/remember.ts';

const PAUSE_MS = 60_000;

interface Stranger {
  toldMs: number;
  /** Since it was told of. */
  attempts: number;
}

/** Notes on strangers; what they say is never in them. */
export class Strangers {
  readonly #clock: Clock;
  readonly #onNote: (note: string) => void;
  readonly #hosts = new Map<string, Stranger>();

  constructor(clock: Clock, onNote: (note: string) => void) {
    this.#clock = clock;
    this.#onNote = onNote;
  }

  /** Somebody at `peer` (host:port) was not let in. */
  note(peer: string, reason: string): void {
    const host = peer.replace(/:\d+$/, '').replace(/^::ffff:/, '');
    const nowMs = this.#clock.now();
    const known = this.#hosts.get(host);
    if (known !== undefined && nowMs - known.toldMs < PAUSE_MS) return void known.attempts++;
    const more =
      known === undefined || known.attempts === 0 ? '' : `, and ${known.attempts} times before`;
    remember(this.#hosts, host, { toldMs: nowMs, attempts: 0 });
    this.#onNote(`${host} was not let in: ${reason}${more}`);
  }
}
