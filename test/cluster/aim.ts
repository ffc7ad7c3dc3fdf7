/** Faults at a step that a number chooses, and what came of them. */
import type { Run } from './runs.ts';

/** A rank of three and a step to hit it at, from 10 to 9 + `steps`. */
export function aim(seed: number, steps: number): { rank: number; step: number } {
  return { rank: seed % 3, step: 10 + (Math.floor(seed / 3) % steps) };
}

/** Counts the samples that `rank` computed for steps after `step`, up to `last`. */
export function samplesAfter(run: Run, rank: number, step: number, last = Infinity): number {
  const later = run.eventsOf('step').filter((event) => event.step > step && event.step <= last);
  return later.reduce(
    (sum, { ranks }) => sum + (ranks.find((each) => each.rank === rank)?.samples ?? 0),
    0,
  );
}
