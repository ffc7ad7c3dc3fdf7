/** Whether runs have become worse than a baseline, and whether that is more than noise. */
import type { Baseline } from './baseline-file.ts';
import { commonConditions, valuesOf } from './baseline-file.ts';
import type { Check } from './check.ts';
import { type MetricRule, ruleOf, type ThresholdName } from './metric-directions.ts';
import type { RunMetrics } from './read-metrics.ts';
import { isoOf } from '../results/timestamp.ts';
import { differenceInterval, sampleOf } from './statistics.ts';

/** Percentages by which a metric of each class may be worse. */
export type Thresholds = { readonly [Name in ThresholdName]: number };

/**
 * The verdict on a metric. `not-comparable`: one of its values is not a number, which is a failure
 * of the run if the baseline's is one.
 */
type MetricStatus = 'ok' | 'improved' | 'regressed' | 'within-noise' | 'not-comparable';

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
  /** 95 % confidence interval of the difference, in the metric's unit; null for single runs. */
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
  /** Whether either side has several runs, so that a difference can be told from noise. */
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
  const comparisons = [...baseline.metrics].flatMap(([name, before]) => {
    const now = current.get(name);
    return now === undefined ? [] : [compareMetric(name, before, now, thresholds)];
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

/** The comparison as checks of a CI system, one per metric. */
export function comparisonChecks({ comparisons }: ComparisonReport): Check[] {
  return Object.values(comparisons).map((one) => ({
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

function compareMetric(
  name: string,
  beforeValues: readonly number[],
  nowValues: readonly number[],
  thresholds: Thresholds,
): MetricComparison {
  const rule = ruleOf(name);
  const [before, now] = [sampleOf(beforeValues), sampleOf(nowValues)];
  const threshold = thresholds[rule.threshold];
  const percent = percentChange(before.mean, now.mean);
  const interval = differenceInterval(before, now);
  const status = statusOf(rule, threshold, percent, interval);
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
