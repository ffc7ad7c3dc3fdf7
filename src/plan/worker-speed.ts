/** How fast one worker is, and when one that is too slow for any work is tried again. */

const SPEED_MEMORY = 0.8;

/** What a link adds to a pass is taken for chance up to this. */
const LINK_NOISE_MS = 50;

/** Times what a micro-batch takes it, after which a worker without work is tried at the latest. */
const TRIAL_PAUSE = 100;

/** What is known of a worker's speed from what it has computed and sent. */
export class WorkerSpeed {
  #microBatchMs: number | undefined;
  #linkMs = 0;
  /** Training passes without work since it last had some, because the others are faster. */
  #idlePasses = 0;
  #workedMs: number;
  /** How often it was tried since it last had work of right. */
  #trialCount = 0;

  /** `nowMs`: since when it could have had work. */
  constructor(nowMs: number) {
    this.#workedMs = nowMs;
  }

  /** Exponential mean of milliseconds per micro-batch on one lane; undefined before the first. */
  get microBatchMs(): number | undefined {
    return this.#microBatchMs;
  }

  /** Milliseconds that totals to it and sums from it are on their way in a pass; 0 if that is little. */
  get linkMs(): number {
    return this.#linkMs > LINK_NOISE_MS ? this.#linkMs : 0;
  }

  get idlePasses(): number {
    return this.#idlePasses;
  }

  /** Learns from one measured micro-batch. What was known before a trial is out of date. */
  learn(microBatchMs: number): void {
    const before = this.#trialCount > 0 ? undefined : this.#microBatchMs;
    this.#microBatchMs =
      before === undefined
        ? microBatchMs
        : SPEED_MEMORY * before + (1 - SPEED_MEMORY) * microBatchMs;
  }

  /** Learns what its link added to one pass. */
  learnLink(linkMs: number): void {
    this.#linkMs =
      this.#trialCount > 0 ? linkMs : SPEED_MEMORY * this.#linkMs + (1 - SPEED_MEMORY) * linkMs;
  }

  /** It gets work of right in the pass that begins. */
  work(nowMs: number): void {
    this.#noteWork(nowMs, 0);
  }

  /** It gets no work in the pass that begins. */
  rest(): void {
    this.#idlePasses++;
  }

  /** It gets one micro-batch in the pass that begins, to see how fast it is now. */
  beginTrial(nowMs: number): void {
    this.#noteWork(nowMs, this.#trialCount + 1);
  }

  /**
   * Whether it is to be tried: soon, and again whenever it has waited for twice as many passes, or
   * for a time of which the trial is one part in a hundred.
   */
  isTrialDue(nowMs: number): boolean {
    return (
      this.#idlePasses >= 2 ** this.#trialCount ||
      nowMs - this.#workedMs >= TRIAL_PAUSE * ((this.#microBatchMs ?? 0) + this.linkMs)
    );
  }

  #noteWork(nowMs: number, trialCount: number): void {
    this.#idlePasses = 0;
    this.#workedMs = nowMs;
    this.#trialCount = trialCount;
  }
}
