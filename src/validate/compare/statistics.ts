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

/**
 * The 95 % confidence interval of `b`'s mean minus `a`'s; undefined when neither has a second run.
 *
 * Both with several runs: Welch's, which lets them be noisy to different degrees. One of them with
 * a single run: the noise of the other is taken for both.
 */
export function differenceInterval(
  a: Sample,
  b: Sample,
): readonly [low: number, high: number] | undefined {
  if (a.count < 2 && b.count < 2) return undefined;
  const [errorA, errorB] = [a.variance / a.count, b.variance / b.count];
  let [variance, freedom] = [errorA + errorB, welchFreedom(a, b)];
  if (a.count < 2 || b.count < 2) {
    const known = a.count < 2 ? b : a;
    [variance, freedom] = [known.variance * (1 / a.count + 1 / b.count), known.count - 1];
  }
  const half = tQuantile(freedom) * Math.sqrt(variance);
  return [b.mean - a.mean - half, b.mean - a.mean + half];
}

function welchFreedom(a: Sample, b: Sample): number {
  const [errorA, errorB] = [a.variance / a.count, b.variance / b.count];
  // Without any noise all degrees come to the same.
  if (errorA + errorB === 0) return a.count + b.count - 2;
  return (errorA + errorB) ** 2 / (errorA ** 2 / (a.count - 1) + errorB ** 2 / (b.count - 1));
}

/**
 * The 97.5 % quantile of Student's t with `freedom` degrees (at least 1; a fraction counts as the
 * next lower number).
 */
export function tQuantile(freedom: number): number {
  const degrees = Math.max(1, Math.floor(freedom));
  return T_975[degrees - 1] ?? expandedQuantile(degrees);
}

/** Degrees 1 to 30. */
const T_975 = [
  12.7062, 4.302653, 3.182446, 2.776445, 2.570582, 2.446912, 2.364624, 2.306004, 2.262157, 2.228139,
  2.200985, 2.178813, 2.160369, 2.144787, 2.13145, 2.119905, 2.109816, 2.100922, 2.093024, 2.085963,
  2.079614, 2.073873, 2.068658, 2.063899, 2.059539, 2.055529, 2.051831, 2.048407, 2.04523, 2.042272,
];

/** Quantile of the standard normal distribution. */
const Z_975 = 1.959963984540054;

/** Cornish-Fisher's series in 1 / degrees: right to six digits from 30 on. */
function expandedQuantile(degrees: number): number {
  const z = Z_975;
  const first = (z ** 3 + z) / 4;
  const second = (5 * z ** 5 + 16 * z ** 3 + 3 * z) / 96;
  const third = (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / 384;
  return z + first / degrees + second / degrees ** 2 + third / degrees ** 3;
}
