/** How long this worker had nothing to do, and its coordinator's word was what it waited for. */
import type { Clock } from '../base/clock.ts';

/** Adds up pauses, until they are told. */
export class CoordinatorWait {
  readonly #clock: Clock;
  #sinceMs: number | undefined;
  #waitedMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** There is nothing left to do; nothing happens if that was so before. */
  begin(): void {
    this.#sinceMs ??= this.#clock.now();
  }

  /** There is something to do again. */
  end(): void {
    if (this.#sinceMs !== undefined) this.#waitedMs += this.#clock.now() - this.#sinceMs;
    this.#sinceMs = undefined;
  }

  /** Milliseconds of the pauses that have ended since this was last asked. */
  take(): number {
    const ms = this.#waitedMs;
    this.#waitedMs = 0;
    return ms;
  }
}
