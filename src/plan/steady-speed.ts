/**
 * How fast a worker is, steady enough to share work out by. What it took for the last micro-batches
 * goes up and down by some percent from step to step, with all else that a machine does; shares that
 * followed would move to and fro, and fit the next step no better. So its mean over the last steps
 * counts, until it is so far from what was measured last that the worker has become another.
 */

/** How much of the mean is from before a step, once it is over as many steps as that allows. */
const MEMORY = 0.9;
/** So many times more or less than the mean is no noise: what was measured last is the truth. */
const CHANGE = 1.25;

/** Milliseconds per micro-batch of one worker, over steps. */
export class SteadySpeed {
  #meanMs: number | undefined;
  /** Steps that the mean is over. */
  #count = 0;
  #step = -1;

  /**
   * What a micro-batch takes, if `ms` is what was measured before `step`; a step counts once,
   * however often it is asked for.
   */
  at(step: number, ms: number): number {
    if (step === this.#step && this.#meanMs !== undefined) return this.#meanMs;
    this.#step = step;
    const before = this.#meanMs ?? ms;
    const isOther = !(ms < CHANGE * before && before < CHANGE * ms);
    this.#count = isOther ? 1 : this.#count + 1;
    const weight = Math.max(1 - MEMORY, 1 / this.#count);
    this.#meanMs = isOther ? ms : before + weight * (ms - before);
    return this.#meanMs;
  }
}
