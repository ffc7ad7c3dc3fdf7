/** Whether runs have become worse than a baseline, and whether that is more than noise. */
import type { Baseline } from './baseline-file.ts';
import { commonConditions, valuesOf } from './baseline-file.ts';
import type { Check } from './check.ts';
import { type MetricRule, ruleOf, type ThresholdName } from './metric-directions.ts';
import type { RunMetrics } from './read-metrics.ts';
import { isoOf } from '../results/timestamp.ts';
import { CHANCE, differenceInterval, sampleOf, tQuantile } from './statistics.ts';
import { type Spread, spreadOf, type WithinRun } from './within-run.ts';

/** Percentages by which a metric of each class may be worse. */
export type Thresholds = { readonly [Name in ThresholdName]: number };

/**
 * The verdict on a metric. `not-comparable`: one of its values is not a number, which is a failure
 * of the run if the baseline's is one. `not-judged`: single runs do not tell how much it varies.
 */
type MetricStatus =
  'ok' | 'improved' | 'regressed' | 'within-noise' | 'not-comparable' | 'not-judged';

/** One metric; keys as MiniCluster's, and ours. */
export interface MetricComparison {
  readonly metric_name: string;
  /** Means over the runs; null where they are not finite. */
  readonly baseline_value: number | null;
  readonly current_value: number | null;
  /** Percent of the baseline's value, up is positive; null from 0 to anything else. */
  readonly percent_change: number | null;
  readonly is_regression: boolean;
  /** Percent by which it may be worse. */
  readonly threshold: number;
  readonly better: 'lower' | 'higher';
  /** The name is unknown, its direction follows from its words. */
  readonly direction_guessed: boolean;
  readonly status: MetricStatus;
  readonly baseline_runs: number;
  readonly current_runs: number;
  /** Confidence interval of the difference, in the metric's unit; null where unknown. */
  readonly difference_interval: readonly [number, number] | null;
}

/** The report of `baseline compare`; keys as MiniCluster's, and ours. */
export interface ComparisonReport {
  readonly baseline: string;
  readonly timestamp: string;
  readonly total_metrics: number;
  readonly regressions: Readonly<Record<string, MetricComparison>>;
  readonly improvements: Readonly<Record<string, MetricComparison>>;
  readonly has_regressions: boolean;
  readonly comparisons: Readonly<Record<string, MetricComparison>>;
  readonly thresholds: { readonly [Name in ThresholdName as `${Name}_percent`]: number };
  /** Whether a difference can be told from noise, by several runs or by the parts of single ones. */
  readonly noise_known: boolean;
  /** Metrics of one side only; they are not judged. */
  readonly missing_metrics: readonly string[];
  readonly new_metrics: readonly string[];
  /** What was run differently, as `num_workers: 2 before, 4 now`. */
  readonly different_conditions: readonly string[];
}

/** Compares the mean of runs with a baseline, metric by metric. */
export function compareWithBaseline(
  baseline: Baseline,
  runs: readonly RunMetrics[],
  thresholds: Thresholds,
): ComparisonReport {
  const current = valuesOf(runs.map(({ metrics }) => metrics));
  const noise = noiseOf(
    baseline.within,
    runs.flatMap(({ within }) => within ?? []),
    [...baseline.metrics].filter(([name, before]) => {
      const now = current.get(name);
      return now !== undefined && [before, now].some((values) => sampleOf(values).variance > 0);
    }).length,
  );
  const comparisons = [...baseline.metrics].flatMap(([name, before]) => {
    const now = current.get(name);
    return now === undefined ? [] : [compareMetric(name, before, now, thresholds, noise)];
  });
  const only = (wanted: (one: MetricComparison) => boolean): Record<string, MetricComparison> =>
    Object.fromEntries(comparisons.filter(wanted).map((one) => [one.metric_name, one]));
  const regressions = only(({ is_regression }) => is_regression);
  return {
    baseline: baseline.name,
    timestamp: isoOf(Date.now()),
    total_metrics: comparisons.length,
    regressions,
    improvements: only(({ status }) => status === 'improved'),
    has_regressions: Object.keys(regressions).length > 0,
    comparisons: only(() => true),
    thresholds: {
      latency_percent: thresholds.latency,
      throughput_percent: thresholds.throughput,
      p99_percent: thresholds.p99,
    },
    noise_known: comparisons.some(({ difference_interval }) => difference_interval !== null),
    missing_metrics: [...baseline.metrics.keys()].filter((name) => !current.has(name)),
    new_metrics: [...current.keys()].filter((name) => !baseline.metrics.has(name)),
    different_conditions: differentConditions(baseline, runs),
  };
}

/** The comparison as checks of a CI system, one per metric that was judged. */
export function comparisonChecks({ comparisons }: ComparisonReport): Check[] {
  return Object.values(comparisons)
    .filter(({ status }) => status !== 'not-judged')
    .map((one) => ({
      name: one.metric_name,
      passed: !one.is_regression,
      message:
        `${one.baseline_value} in the baseline, ${one.current_value} now (${changeText(one)}); ` +
        `${one.better} is better, threshold ${one.threshold}%`,
    }));
}

/** A change in percent, with its sign. */
export function changeText({
  percent_change: percent,
  baseline_value: before,
  current_value: now,
}: MetricComparison): string {
  if (percent !== null) return `${percent < 0 ? '' : '+'}${percent.toFixed(2)}%`;
  return before === null || now === null ? 'not comparable' : 'from 0';
}

/** What the runs themselves tell of noise. */
interface Noise {
  /** Whether they tell anything; if not, single runs are judged by thresholds alone. */
  readonly isKnown: boolean;
  /** Whether equal code gives equal losses on both sides. */
  readonly isExact: boolean;
  /** Of a single run on either side; one that has none has that of the other. */
  readonly spreads: readonly [before: Spread, now: Spread] | undefined;
  /** How often one metric may be out by chance, so that seldom any of them is. */
  readonly chance: number;
}

function noiseOf(before: readonly WithinRun[], now: readonly WithinRun[], varying: number): Noise {
  const words = new Set([...before, ...now].map(({ exactAmong }) => exactAmong));
  const [ofBefore, ofNow] = [before, now].map(([first]) => spreadOf(first?.rates ?? []));
  const [one, other] = [ofBefore ?? ofNow, ofNow ?? ofBefore];
  return {
    isKnown: before.length + now.length > 0,
    isExact: before.length > 0 && now.length > 0 && words.size === 1 && !words.has(null),
    spreads: one === undefined || other === undefined ? undefined : [one, other],
    chance: CHANCE / Math.max(1, varying),
  };
}

function compareMetric(
  name: string,
  beforeValues: readonly number[],
  nowValues: readonly number[],
  thresholds: Thresholds,
  noise: Noise,
): MetricComparison {
  const rule = ruleOf(name);
  const [before, now] = [sampleOf(beforeValues), sampleOf(nowValues)];
  const threshold = noise.isExact && rule.of === 'outcome' ? 0 : thresholds[rule.threshold];
  const percent = percentChange(before.mean, now.mean);
  const isSingle = before.count === 1 && now.count === 1;
  const interval =
    isSingle && rule.of === 'rate' && noise.spreads !== undefined
      ? spreadInterval(before.mean, now.mean, noise.spreads)
      : differenceInterval(before, now, noise.chance);
  const isBlind = isSingle && noise.isKnown && rule.of !== 'outcome' && interval === undefined;
  const status =
    isBlind && !Number.isNaN(percent) ? 'not-judged' : statusOf(rule, threshold, percent, interval);
  return {
    metric_name: name,
    baseline_value: orNull(before.mean),
    current_value: orNull(now.mean),
    percent_change: orNull(percent),
    // A number that has become none is worse than any number.
    is_regression:
      status === 'regressed' || (status === 'not-comparable' && Number.isFinite(before.mean)),
    threshold,
    better: rule.better,
    direction_guessed: rule.isGuess,
    status,
    baseline_runs: before.count,
    current_runs: now.count,
    difference_interval: interval?.every(Number.isFinite) === true ? interval : null,
  };
}

/**
 * The 95 % interval of the difference of two single runs, from that of their ratio. What disturbs a
 * run lasts longer than a part of it, so a run is taken to vary as much as a part does, and not less
 * by averaging.
 */
function spreadInterval(
  before: number,
  now: number,
  [ofBefore, ofNow]: readonly [Spread, Spread],
): readonly [low: number, high: number] {
  const deviation = Math.hypot(ofBefore.ofLogarithm, ofNow.ofLogarithm);
  const half = tQuantile(Math.min(ofBefore.freedom, ofNow.freedom)) * deviation;
  return [now * Math.exp(-half) - before, now * Math.exp(half) - before];
}

/** Change as a part of `before`; infinite from 0 to anything else, NaN when one is not finite. */
function percentChange(before: number, now: number): number {
  if (!Number.isFinite(before) || !Number.isFinite(now)) return NaN;
  return now === before ? 0 : ((now - before) / Math.abs(before)) * 100;
}

function statusOf(
  { better }: MetricRule,
  threshold: number,
  percent: number,
  interval: readonly [number, number] | undefined,
): MetricStatus {
  if (Number.isNaN(percent)) return 'not-comparable';
  if (Math.abs(percent) <= threshold) return 'ok';
  if (interval !== undefined && interval[0] <= 0 && interval[1] >= 0) return 'within-noise';
  return percent > 0 === (better === 'lower') ? 'regressed' : 'improved';
}

function differentConditions({ conditions }: Baseline, runs: readonly RunMetrics[]): string[] {
  const now = commonConditions(runs);
  return [...conditions]
    .filter(([key, value]) => now.has(key) && now.get(key) !== value)
    .map(([key, value]) => `${key}: ${value} before, ${now.get(key)} now`);
}

function orNull(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}
