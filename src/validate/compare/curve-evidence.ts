/**
 * What two loss curves show of each other, as numbers. Losses are those before the update of their
 * step, so a wrong update shows in the step after it, and the first loss depends on data and
 * initial weights alone.
 */
import type { CurveStep, LossCurve } from './loss-curve.ts';

/** Correct programs that add in another order differ by less in a step from the same weights. */
export const ROUNDING = 1e-5;
/** Rounding errors grow from step to step, but do not jump. */
const LARGEST_GROWTH = 30;
const GROWTH_FLOOR = 1e-6;

/** |s - m| / |s| of every step; infinite where only s is 0 or a loss is not finite. */
export function relativeDifferences(single: LossCurve, multi: LossCurve): number[] {
  return single.steps.map(({ loss }, index) => {
    const other = multi.steps[index]?.loss ?? NaN;
    if (loss === other) return 0;
    const difference = Math.abs(loss - other) / Math.abs(loss);
    return Number.isNaN(difference) ? Infinity : difference;
  });
}

/** Whether differences begin tiny and grow little by little up to step `until`. */
export function growsFromRounding(differences: readonly number[], until: number): boolean {
  let largest = GROWTH_FLOOR;
  for (const difference of differences.slice(0, until + 1)) {
    if (difference > LARGEST_GROWTH * largest) return false;
    largest = Math.max(largest, difference);
  }
  return true;
}

/**
 * The mean of log(multi / single) over some steps: how far the multi run's loss lies above, 0.1
 * about ten percent.
 */
export function meanLogRatio(
  single: LossCurve,
  multi: LossCurve,
  from: number,
  to: number,
): number {
  const ratios = single.steps
    .slice(from, to)
    .map(({ loss }, index) => Math.log((multi.steps[from + index]?.loss ?? NaN) / loss))
    .filter(Number.isFinite);
  return ratios.length === 0 ? 0 : ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length;
}

/** The one factor between all losses of the runs; undefined when there is none. */
export function constantRatio(single: LossCurve, multi: LossCurve): number | undefined {
  const ratios = single.steps.map(({ loss }, index) => (multi.steps[index]?.loss ?? NaN) / loss);
  const [first = NaN] = ratios;
  return ratios.length >= 3 && ratios.every((ratio) => Math.abs(ratio / first - 1) < 1e-4)
    ? first
    : undefined;
}

/**
 * How many times as fast the multi run gets down to the same losses, as a median over levels of the
 * loss; undefined when the runs have no levels in common.
 */
export function relativeSpeed(single: LossCurve, multi: LossCurve): number | undefined {
  const [one, other] = [smoothed(single), smoothed(multi)];
  const [top = NaN] = one;
  const bottom = Math.max(lowest(one), lowest(other));
  if (!(bottom > 0) || !(bottom < top)) return undefined;
  const speeds: number[] = [];
  for (let level = 1; level < LEVELS; level++) {
    const loss = top * (bottom / top) ** (level / LEVELS);
    const steps = [one, other].map((curve) => curve.findIndex((value) => value <= loss) + 1);
    const [first = 0, second = 0] = steps;
    if (first > 0 && second > 0 && Math.max(first, second) > SMOOTHED_STEPS)
      speeds.push(first / second);
  }
  return speeds.toSorted((a, b) => a - b)[Math.floor(speeds.length / 2)];
}

const LEVELS = 20;
const SMOOTHED_STEPS = 3;

/** Whether a run ends no better than it began. */
export function learnsNothing({ steps }: LossCurve): boolean {
  const [first] = steps;
  const tail = steps.slice(-Math.max(1, Math.ceil(steps.length / 10)));
  const mean = tail.reduce((sum, { loss }) => sum + loss, 0) / tail.length;
  return first !== undefined && !(mean < first.loss);
}

/** Whether the workers of a step had equally many samples; undefined where nothing says so. */
export function hasEqualShares({ samples }: CurveStep): boolean | undefined {
  if (samples.size === 0) return undefined;
  const [first, ...others] = samples.values();
  return others.every((count) => count === first);
}

/** Samples of a step over all workers; undefined where the file does not say. */
export function sampleCountOf({ samples }: CurveStep): number | undefined {
  return samples.size === 0
    ? undefined
    : [...samples.values()].reduce((sum, count) => sum + count, 0);
}

/**
 * How much noisier than the mean over all samples an average of the workers' own means is, whose
 * samples are not equally many: 1 for equal shares, 4/3 for shares of 3 to 1.
 */
export function varianceOfUnweighted({ samples }: CurveStep): number {
  const counts = [...samples.values()];
  const total = counts.reduce((sum, count) => sum + count, 0);
  return counts.reduce((sum, count) => sum + total / count, 0) / counts.length ** 2;
}

/** Without spreading the values over the stack: a run may have a million steps. */
function lowest(values: readonly number[]): number {
  return values.reduce((least, value) => Math.min(least, value), Infinity);
}

/** Geometric means over neighbouring steps. */
function smoothed({ steps }: LossCurve): number[] {
  return steps.map((_, index) => {
    const near = steps.slice(Math.max(0, index - SMOOTHED_STEPS + 1), index + SMOOTHED_STEPS);
    return Math.exp(near.reduce((sum, { loss }) => sum + Math.log(loss), 0) / near.length);
  });
}
