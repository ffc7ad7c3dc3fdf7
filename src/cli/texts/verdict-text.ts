import { type Difference, placeOf } from '../../replay/comparison.ts';
import type { Verdict } from '../../replay/replay-run.ts';
import { grouped } from '../shell/terminal.ts';

/** What came of a replay, in one line. */
export function verdictText({ from, to, counts, difference, isInterrupted }: Verdict): string {
  const stretch = `steps ${grouped(from + 1)} to ${grouped(to)}`;
  if (difference !== undefined)
    return `NOT as recorded: ${stretch}, first at ${placeOf(difference)}`;
  if (isInterrupted) return `not finished: ${grouped(counts.step)} of ${stretch} as recorded`;
  return (
    `as recorded: ${stretch}, ${grouped(counts.evaluation)} evaluations, ` +
    `${grouped(counts.state)} states, bit for bit`
  );
}

/** What differs, on two lines. */
export function differenceText({ recorded, computed }: Difference): string {
  return `  recorded  ${recorded ?? 'nothing'}\n  computed  ${computed}`;
}
