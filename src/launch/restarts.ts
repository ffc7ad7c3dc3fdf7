/** How often in a row a worker is started again. */
const MOST = 5;
const FIRST_PAUSE_MS = 250;
/** Who has lived for so long did not die of being started. */
const STEADY_MS = 60_000;

/** Whether a worker that dies is started again, and after how long: later each time. */
export class Restarts {
  #deaths = 0;

  /** Times that it died in a row, each soon after its start. */
  get deaths(): number {
    return this.#deaths;
  }

  /** The pause before the next start of a worker that has lived for so long; undefined: give up. */
  pauseAfter(livedMs: number): number | undefined {
    this.#deaths = livedMs < STEADY_MS ? this.#deaths + 1 : 1;
    return this.#deaths > MOST ? undefined : FIRST_PAUSE_MS * 2 ** (this.#deaths - 1);
  }
}
