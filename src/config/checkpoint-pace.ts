import type { TrainConfig } from './train-config.ts';

/** How often the state of a run is written down; undefined: never. */
export function checkpointPace({
  checkpointEvery: every,
}: Pick<TrainConfig, 'checkpointEvery'>):
  { readonly everySteps?: number; readonly everyMs?: number } | undefined {
  if (typeof every === 'number') return { everySteps: every };
  return every === 'never' ? undefined : { everyMs: 1000 * Number(every.slice(0, -1)) };
}
