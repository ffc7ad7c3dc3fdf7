/** Deadlines of membership, milliseconds. */
export interface Timing {
  /** A connection must say `hello` within this. */
  readonly greetingMs: number;
  /** A welcomed worker must be ready within this. */
  readonly loadingMs: number;
  /** No sign of life for this long: its work goes to others. */
  readonly stallMs: number;
  /**
   * No sign of life for this long: it is evicted. Nobody waits for who is stalled, so that this may
   * be long: on a link that is jammed, what was lost is sent again later and later, and a silence of
   * 14 s was seen.
   */
  readonly deadMs: number;
  /** Between two looks at everyone's liveness. */
  readonly tickMs: number;
}

/** What every run uses; tests may be quicker. */
export const DEFAULT_TIMING: Timing = {
  greetingMs: 5_000,
  loadingMs: 120_000,
  stallMs: 2_000,
  deadMs: 30_000,
  tickMs: 100,
};
