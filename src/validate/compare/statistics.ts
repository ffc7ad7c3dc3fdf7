/** Means and their uncertainty, for a few runs. */

/** What is known of a quantity that was measured in several runs. */
export interface Sample {
  readonly count: number;
  readonly mean: number;
  /** Deviation of the sample, with divisor n - 1; 0 for one run. */
  readonly variance: number;
}

/** Count, mean and variance of at least one value. */
export function sampleOf(values: readonly number[]): Sample {
  const count = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / count;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { count, mean, variance: count < 2 ? 0 : squares / (count - 1) };
}

/** How often an interval may leave out the truth. */
export const CHANCE = 0.05;

/**
 * The confidence interval of `b`'s mean minus `a`'s, which leaves out the truth with `chance`;
 * undefined when neither has a second run.
 *
 * Both with several runs: Welch's, which lets them be noisy to different degrees. One of them with
 * a single run: the noise of the other is taken for both.
 */
export function differenceInterval(
  a: Sample,
  b: Sample,
  chance: number = CHANCE,
): readonly [low: number, high: number] | undefined {
  if (a.count < 2 && b.count < 2) return undefined;
  const [errorA, errorB] = [a.variance / a.count, b.variance / b.count];
  let [variance, freedom] = [errorA + errorB, welchFreedom(a, b)];
  if (a.count < 2 || b.count < 2) {
    const known = a.count < 2 ? b : a;
    [variance, freedom] = [known.variance * (1 / a.count + 1 / b.count), known.count - 1];
  }
  const half = tQuantile(freedom, chance) * Math.sqrt(variance);
  return [b.mean - a.mean - half, b.mean - a.mean + half];
}

function welchFreedom(a: Sample, b: Sample): number {
  const [errorA, errorB] = [a.variance / a.count, b.variance / b.count];
  // Without any noise all degrees come to the same.
  if (errorA + errorB === 0) return a.count + b.count - 2;
  return (errorA + errorB) ** 2 / (errorA ** 2 / (a.count - 1) + errorB ** 2 / (b.count - 1));
}

/** From here on the distribution hardly changes. */
const MOST_DEGREES = 1000;

/**
 * What Student's t with `freedom` degrees (at least 1; a fraction counts as the next lower number)
 * exceeds, up or down, with `chance`, above 0.
 */
export function tQuantile(freedom: number, chance: number = CHANCE): number {
  const degrees = Math.min(MOST_DEGREES, Math.max(1, Math.floor(freedom)));
  // The angle whose tangent is t / sqrt(degrees), found by halving.
  let [low, high] = [0, Math.PI / 2];
  for (let middle = high / 2; middle > low && middle < high; middle = (low + high) / 2) {
    if (1 - shareWithin(middle, degrees) > chance) low = middle;
    else high = middle;
  }
  return Math.tan(low) * Math.sqrt(degrees);
}

/** The share of values within plus and minus an angle. Source: Abramowitz, Stegun 26.7.3, 26.7.4. */
function shareWithin(angle: number, degrees: number): number {
  const isOdd = degrees % 2 === 1;
  const [sine, cosine] = [Math.sin(angle), Math.cos(angle)];
  let term = isOdd ? sine * cosine : sine;
  let sum = degrees === 1 ? 0 : term;
  for (let k = isOdd ? 3 : 2; k < degrees; k += 2) {
    term *= ((k - 1) / k) * cosine ** 2;
    sum += term;
  }
  return isOdd ? (2 / Math.PI) * (angle + sum) : sum;
}
