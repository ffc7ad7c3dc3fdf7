/**
 * What this worker tells behind its work, many times a second: the coordinator hears of several at
 * once, which costs it little more than one.
 */
import type { Clock, Timer } from '../base/clock.ts';
import type { ToCoordinator } from '../protocol/messages.ts';

/** A word waits so long at most: by words that do not come others are found to be stuck. */
const HOLD_MS = 100;

/** Words that wait for others, in their order. */
export class HeldWords {
  readonly #clock: Clock;
  readonly #say: (words: readonly ToCoordinator[]) => void;
  #words: ToCoordinator[] = [];
  #timer: Timer | undefined;

  /** `say` gets all that wait, when one of them has waited long enough, or they are released. */
  constructor(clock: Clock, say: (words: readonly ToCoordinator[]) => void) {
    this.#clock = clock;
    this.#say = say;
  }

  /** Keeps a word for a while. */
  hold(word: ToCoordinator): void {
    this.#words.push(word);
    this.#timer ??= this.#clock.after(HOLD_MS, () => this.release());
  }

  /** Says all that waits now: something else is about to be said. */
  release(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const words = this.#words;
    if (words.length === 0) return;
    this.#words = [];
    this.#say(words);
  }

  /** Nobody is told any more. */
  close(): void {
    this.#words = [];
    this.release();
  }
}
