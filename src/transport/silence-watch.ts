import type { Clock, Timer } from '../base/clock.ts';

/** It is looked so often within the time that a silence may last. */
const LOOKS = 5;
/** So many bytes of a message that is still on its way count as much as a whole one. */
const SIGN_OF_LIFE_BYTES = 64 << 10;

/**
 * Tells once that nothing has come from a peer for `limitMs`, or at most a fifth longer.
 *
 * What counts is our own looks, not the time between them: if this process was asleep, the peer is
 * given the time anew.
 */
export class SilenceWatch {
  readonly #clock: Clock;
  readonly #limitMs: number;
  readonly #onSilent: () => void;
  readonly #bytesReceived: () => number;
  #bytes: number;
  #looks = 0;
  #timer: Timer;

  /** `bytesReceived`: all bytes so far, so that a long message is no silence. */
  constructor(
    clock: Clock,
    limitMs: number,
    onSilent: () => void,
    bytesReceived: () => number = () => 0,
  ) {
    this.#clock = clock;
    this.#limitMs = limitMs;
    this.#onSilent = onSilent;
    this.#bytesReceived = bytesReceived;
    this.#bytes = bytesReceived();
    this.#timer = this.#lookLater();
  }

  /** A whole message has come. */
  heard(): void {
    this.#looks = 0;
    this.#bytes = this.#bytesReceived();
  }

  stop(): void {
    this.#timer.cancel();
  }

  #lookLater(): Timer {
    return this.#clock.after(this.#limitMs / LOOKS, () => this.#look());
  }

  #look(): void {
    if (this.#bytesReceived() - this.#bytes >= SIGN_OF_LIFE_BYTES) this.heard();
    else this.#looks++;
    // The first look may come right after a message: it does not count.
    if (this.#looks > LOOKS) this.#onSilent();
    else this.#timer = this.#lookLater();
  }
}
