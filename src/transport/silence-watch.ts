import type { Clock, Timer } from '../base/clock.ts';

/** It is looked so often within the time that a silence may last. */
const LOOKS = 5;
const SIGN_OF_LIFE_BYTES: number = 64 << 10;

/** What is taken for silence, and who is told of it. */
export interface SilenceOptions {
  readonly limitMs: number;
  readonly onSilent: () => void;
  /** All bytes so far, so that a long message on its way is no silence. */
  readonly bytes?: () => number;
  /** So many of them within the time count as much as a whole message (default: 64 KiB). */
  readonly leastBytes?: number;
}

/**
 * Tells once that nothing has come from a peer for a time, or at most a fifth longer.
 *
 * What counts is our own looks, not the time between them: if this process was asleep, the peer is
 * given the time anew.
 */
export class SilenceWatch {
  readonly #clock: Clock;
  readonly #options: SilenceOptions;
  #bytes: number;
  #looks = 0;
  #timer: Timer;

  constructor(clock: Clock, options: SilenceOptions) {
    this.#clock = clock;
    this.#options = options;
    this.#bytes = this.#bytesNow();
    this.#timer = this.#lookLater();
  }

  /** A whole message has come. */
  heard(): void {
    this.#looks = 0;
    this.#bytes = this.#bytesNow();
  }

  stop(): void {
    this.#timer.cancel();
  }

  #bytesNow(): number {
    return this.#options.bytes?.() ?? 0;
  }

  #lookLater(): Timer {
    return this.#clock.after(this.#options.limitMs / LOOKS, () => this.#look());
  }

  #look(): void {
    const { onSilent, leastBytes = SIGN_OF_LIFE_BYTES } = this.#options;
    if (this.#bytesNow() - this.#bytes >= leastBytes) this.heard();
    else this.#looks++;
    // The first look may come right after a message: it does not count.
    if (this.#looks > LOOKS) onSilent();
    else this.#timer = this.#lookLater();
  }
}
