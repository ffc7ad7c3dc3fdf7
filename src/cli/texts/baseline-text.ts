import {
  changeText,
  type ComparisonReport,
  type MetricComparison,
} from '../../validate/compare/compare-baseline.ts';
import type { Colours } from '../shell/terminal.ts';

const DOUBLE_LINE = '='.repeat(80);
const LINE = '-'.repeat(80);

/** A comparison with a baseline as a person reads it, in MiniCluster's layout. */
export function comparisonText(report: ComparisonReport, colours: Colours): string {
  const comparisons = Object.values(report.comparisons);
  const {
    latency_percent: latency,
    throughput_percent: throughput,
    p99_percent: p99,
  } = report.thresholds;
  const width = Math.max(...comparisons.map(({ metric_name: name }) => name.length));
  const lines = [
    DOUBLE_LINE,
    colours.bold('BASELINE COMPARISON REPORT'),
    DOUBLE_LINE,
    `Baseline:                    ${report.baseline}`,
    `Latency threshold:           ${latency.toFixed(1)}% (99th percentiles ${p99.toFixed(1)}%)`,
    `Throughput threshold:        ${throughput.toFixed(1)}%`,
    `Noise:                       ${noiseText(report, comparisons)}`,
    ...report.different_conditions.map((one) => `Not the same run:            ${one}`),
    '',
    LINE,
    'Metric Comparisons:',
    LINE,
    ...comparisons.map((one) => `${one.metric_name.padEnd(width)}  ${metricText(one, colours)}`),
    ...namesLine('Only in the baseline, not judged', report.missing_metrics),
    ...namesLine('Only in the run, not judged', report.new_metrics),
    '',
    LINE,
    `RESULT: ${resultText(Object.keys(report.regressions), judgedOf(comparisons), colours)}`,
    DOUBLE_LINE,
  ];
  return lines.join('\n');
}

function metricText(one: MetricComparison, { dim, green, red }: Colours): string {
  const { baseline_value: before, current_value: now, is_regression: isRegression } = one;
  const verdict = verdictText(one);
  const coloured = isRegression ? red(verdict) : one.status === 'ok' ? green(verdict) : verdict;
  const guess = one.direction_guessed ? dim(` (${one.better} is better, by its name)`) : '';
  return `${valueText(before)} → ${valueText(now)} (${changeText(one)})  ${coloured}${guess}`;
}

function judgedOf(comparisons: readonly MetricComparison[]): number {
  return comparisons.filter(({ status }) => status !== 'not-judged').length;
}

function resultText(
  regressed: readonly string[],
  metrics: number,
  { green, red }: Colours,
): string {
  return regressed.length === 0
    ? green(`✓ no regression in ${metrics} metrics`)
    : red(`✗ ${regressed.length} of ${metrics} metrics regressed: ${regressed.join(', ')}`);
}

function noiseText(
  { noise_known: isKnown }: ComparisonReport,
  comparisons: readonly MetricComparison[],
): string {
  const most = (of: (one: MetricComparison) => number): number => Math.max(...comparisons.map(of));
  const [before, now] = [most((one) => one.baseline_runs), most((one) => one.current_runs)];
  if (before === 1 && now === 1)
    return comparisons.some(({ status }) => status === 'not-judged')
      ? `${isKnown ? "known of throughput, by the parts of each run's steps" : 'unknown'}; ` +
          'with one run on each side the rest (-) is shown, not judged: give --metrics several times'
      : 'unknown, one run on each side; give --metrics several times to know it';
  const rule = 'a change counts when its confidence interval (95 % for all together) leaves out 0';
  return `${before} and ${now} runs; ${rule}`;
}

function verdictText({ status, difference_interval: interval }: MetricComparison): string {
  switch (status) {
    case 'ok':
      return '✓';
    case 'improved':
      return '✓ better';
    case 'within-noise':
      return `✓ within noise (${(interval ?? []).map((end) => valueText(end)).join(' to ')})`;
    case 'regressed':
      return '✗ REGRESS';
    case 'not-judged':
      return '-';
    case 'not-comparable':
      return '✗ not a number';
    default:
      return status satisfies never;
  }
}

function valueText(value: number | null): string {
  return value === null ? 'not a number' : value.toFixed(6);
}

function namesLine(title: string, names: readonly string[]): string[] {
  return names.length === 0 ? [] : ['', `${title}: ${names.join(', ')}`];
}
