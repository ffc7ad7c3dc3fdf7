import type { Clock, Timer } from '../base/clock.ts';
import type { Timing } from './timing.ts';

/** What a ticker is given. */
export interface TickerOptions {
  readonly clock: Clock;
  readonly timing: Timing;
  /** Time passed that nobody could use: whatever was due in it is due later. */
  readonly onOverslept: (durationMs: number, nowMs: number) => void;
  readonly onTick: (nowMs: number) => void;
}

/** Ticks until it is stopped, and notices when it was itself frozen (a laptop's lid). */
export class Ticker {
  readonly #options: TickerOptions;
  #timer: Timer | undefined;
  #lastMs: number;

  constructor(options: TickerOptions) {
    this.#options = options;
    this.#lastMs = options.clock.now();
    this.#schedule();
  }

  /** Ticks no more. */
  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #schedule(): void {
    const { clock, timing, onOverslept, onTick } = this.#options;
    this.#timer = clock.after(timing.tickMs, () => {
      const nowMs = clock.now();
      const oversleptMs = nowMs - this.#lastMs - timing.tickMs;
      this.#lastMs = nowMs;
      if (oversleptMs > timing.stallMs / 2) onOverslept(oversleptMs, nowMs);
      this.#schedule();
      onTick(nowMs);
    });
  }
}
