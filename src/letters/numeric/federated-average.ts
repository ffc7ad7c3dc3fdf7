/**
 * One round of the coordinator's arithmetic: the average of what the files gave, always in the
 * order of the files.
 */

/** What one file of a round gave. */
export interface FileDelta {
  readonly delta: Float64Array;
  /** Rows of the file. */
  readonly rowCount: number;
}

/** What a file counts: `files` the same as any other, as in the seed system; `rows` as its rows. */
export type Averaging = 'files' | 'rows';

/**
 * Gives `start` plus the average of the deltas, in a new array.
 *
 * Sums run in the order of `deltas`: the bits do not depend on who computed them, or when.
 */
export function addAverage(
  start: Float64Array,
  deltas: readonly FileDelta[],
  averaging: Averaging,
): Float64Array {
  const sum = new Float64Array(start.length);
  let total = 0;
  for (const { delta, rowCount } of deltas) {
    const weight = averaging === 'rows' ? rowCount : 1;
    total += weight;
    for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] ?? 0) + weight * (delta[i] ?? 0);
  }
  return sum.map((value, i) => (start[i] ?? 0) + value / total);
}
