import { type Clock, systemClock, type Timer } from '../base/clock.ts';

/** Whatever takes longer to start is no longer waited for. */
const PATIENCE_MS = 30_000;

/**
 * Starts few at a time, in the order in which they came: the next when one is up, has ended, or
 * takes longer than 30 seconds. `Started` identifies what was started.
 */
export class StartQueue<Started> {
  readonly #atOnce: number;
  readonly #clock: Clock;
  readonly #waiting: (() => Started)[] = [];
  readonly #starting = new Map<Started, Timer>();

  /** So many may be starting up at once; at least 1. */
  constructor(atOnce: number, clock: Clock = systemClock) {
    this.#atOnce = atOnce;
    this.#clock = clock;
  }

  /** How many have not been started yet. */
  get waitingCount(): number {
    return this.#waiting.length;
  }

  /** Calls `start` when it is its turn: now, if there is room. */
  add(start: () => Started): void {
    this.#waiting.push(start);
    this.#advance();
  }

  /** What was started is up, or has ended: it makes room. Of no effect the second time. */
  settle(started: Started): void {
    this.#starting.get(started)?.cancel();
    if (this.#starting.delete(started)) this.#advance();
  }

  /** Starts nothing more; gives what is still starting up. */
  close(): Started[] {
    this.#waiting.length = 0;
    for (const timer of this.#starting.values()) timer.cancel();
    const starting = [...this.#starting.keys()];
    this.#starting.clear();
    return starting;
  }

  #advance(): void {
    while (this.#starting.size < this.#atOnce) {
      const start = this.#waiting.shift();
      if (start === undefined) return;
      const started = start();
      this.#starting.set(
        started,
        this.#clock.after(PATIENCE_MS, () => this.settle(started)),
      );
    }
  }
}
