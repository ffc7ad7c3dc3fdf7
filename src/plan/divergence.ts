/**
 * Whether the training has diverged. The measure is the loss of the first step, before anything was
 * learned: single steps may be unlucky, and the best loss comes close to zero where all goes well.
 */

/** So many times the first loss, in so many steps one after another. */
const HIGH_FACTOR = 10;
const HIGH_STEPS = 10;
/** So many times the first loss, in one step. */
const EXPLODED_FACTOR = 10_000;

/** What the losses of the steps so far come to; part of the committed state. */
export interface LossCourse {
  /** The first that is above zero. */
  readonly firstLoss: number | undefined;
  /** How many of the last steps had a loss far above it, one after another. */
  readonly highSteps: number;
  readonly isDiverged: boolean;
}

/** Before the first step. */
export const NO_LOSSES: LossCourse = { firstLoss: undefined, highSteps: 0, isDiverged: false };

/** The course after one more step with this mean loss. */
export function nextCourse(before: LossCourse, loss: number): LossCourse {
  const { firstLoss } = before;
  if (firstLoss === undefined) return loss > 0 ? { ...before, firstLoss: loss } : before;
  const highSteps = loss > HIGH_FACTOR * firstLoss ? before.highSteps + 1 : 0;
  const isExploded = highSteps >= HIGH_STEPS || loss > EXPLODED_FACTOR * firstLoss;
  return { firstLoss, highSteps, isDiverged: before.isDiverged || isExploded };
}
