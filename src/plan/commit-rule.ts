/**
 * Whether a step counts: a pure function of its records and of the grids before it, so that everyone
 * who has these comes to the same end.
 */
import type { RunEvent } from '../metrics/events.ts';
import {
  gridExponents,
  type GridMaxima,
  maximaOfStep,
  mergeMaxima,
  nextMaxima,
  overflowsGrid,
} from './grid.ts';

/** Where the grid stands between the attempts at steps. */
export interface GridStanding {
  /**
   * What the next attempt is computed on. Undefined until gradients have been measured: on the
   * first micro-batch of the first step, or on all shards of the first round.
   */
  readonly maxima: GridMaxima | undefined;
  /** The same when the step began: attempts that do not count widen the grid. */
  readonly committed: GridMaxima | undefined;
  /** Attempts at the step that did not count. */
  readonly redoCount: number;
}

/**
 * Why a step is computed again: its grid was not known yet, was too narrow, or was that of large
 * elements that nobody has seen again.
 */
export type RedoReason = Extract<RunEvent, { readonly kind: 'step-redone' }>['reason'];

/** What an attempt at a step comes to, and where the grid stands then. */
export type StepVerdict =
  | { readonly kind: 'commit'; readonly grid: GridStanding }
  | { readonly kind: 'redo'; readonly reason: RedoReason; readonly grid: GridStanding };

/** What was attempted. */
export interface Attempt {
  readonly exponents: readonly number[];
  readonly microBatchCount: number;
  /** Of all its micro-batches, in their order, or of parts of them; every number is finite. */
  readonly records: readonly { readonly maxima: readonly (number | null)[] }[];
}

/**
 * Attempts at a step whose grids are not those of what they saw. Only workers that compute other
 * bits than each other, or wrong ones, can make so many; then any grid is good that is wide enough.
 */
const MAX_REDOS = 4;

/** The grid of a run, or of a state to go back to, in which no attempt was made yet. */
export function freshGrid(maxima: GridMaxima | undefined): GridStanding {
  return { maxima, committed: maxima, redoCount: 0 };
}

/**
 * Judges an attempt. With `measuresAll` a grid that is not known is that of all parts, else that of
 * the first.
 */
export function judgeStep(
  { maxima: before, committed, redoCount }: GridStanding,
  { exponents, microBatchCount, records }: Attempt,
  measuresAll: boolean,
): StepVerdict {
  const seen = records.map((record) => record.maxima.map((value) => value ?? 0));
  const observed = seen.reduce(mergeMaxima);
  // What an earlier attempt has seen does not count: an element that was damaged would leave its
  // mark on the grid, and everybody's gradients would be rounded to nothing.
  const measured = measuresAll ? observed : (seen[0] ?? observed);
  const maxima = maximaOfStep(committed ?? measured, observed, microBatchCount);
  const isTooNarrow = overflowsGrid(observed, exponents, microBatchCount);
  const isItsGrid = gridExponents(maxima, microBatchCount).join() === exponents.join();
  const isFirst = before === undefined;
  if (isFirst || isTooNarrow || (!isItsGrid && redoCount < MAX_REDOS)) {
    const reason = isTooNarrow ? 'overflow' : 'unconfirmed';
    const grid = { maxima, committed, redoCount: redoCount + 1 };
    return { kind: 'redo', reason: isFirst ? 'calibration' : reason, grid };
  }
  return { kind: 'commit', grid: freshGrid(nextMaxima(maxima, observed)) };
}
