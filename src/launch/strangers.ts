/** Tells of those who are not let in at a door: of each machine and reason at once, then seldom. */
import type { Clock } from '../base/clock.ts';
import { remember } from '../base/remember.ts';

const PAUSE_MS = 60_000;

interface Stranger {
  toldMs: number;
  /** Since it was told of. */
  attempts: number;
}

/** Who is told of strangers; what they say is never in it. */
export class Strangers {
  readonly #clock: Clock;
  readonly #tell: (peer: string, reason: string) => void;
  /** By machine and reason. */
  readonly #known = new Map<string, Stranger>();

  /** `tell` hears who (host:port) was not let in, and why. */
  constructor(clock: Clock, tell: (peer: string, reason: string) => void) {
    this.#clock = clock;
    this.#tell = tell;
  }

  /** Somebody at `peer` (host:port) was not let in. */
  note(peer: string, reason: string): void {
    const host = peer.replace(/:\d+$/, '').replace(/^::ffff:/, '');
    // The same reason may say how long ago something was.
    const key = `${host} ${reason.replaceAll(/\d/g, '')}`;
    const nowMs = this.#clock.now();
    const known = this.#known.get(key);
    if (known !== undefined && nowMs - known.toldMs < PAUSE_MS) return void known.attempts++;
    const more =
      known === undefined || known.attempts === 0 ? '' : `, and ${known.attempts} times before`;
    remember(this.#known, key, { toldMs: nowMs, attempts: 0 });
    this.#tell(peer, `${reason}${more}`);
  }
}
