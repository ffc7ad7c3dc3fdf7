import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RandomWords } from '../../base/random.ts';
import type { Baseline } from './baseline-file.ts';
import {
  compareWithBaseline,
  comparisonChecks,
  type ComparisonReport,
} from './compare-baseline.ts';
import { ruleOf } from './metric-directions.ts';
import type { WithinRun } from './within-run.ts';

type Values = Readonly<Record<string, number | readonly number[]>>;
const THRESHOLDS = { latency: 5, throughput: 5, p99: 10 };

function compare(
  before: Values,
  now: Values,
  of: { readonly before: WithinRun[]; readonly now: WithinRun[] } = { before: [], now: [] },
): ComparisonReport {
  const lists = Object.entries(before).map(([name, values]): [string, number[]] => [
    name,
    [values].flat(),
  ]);
  const baseline: Baseline = {
    name: 'b',
    timestamp: '',
    metrics: new Map(lists),
    conditions: new Map(),
    within: of.before,
  };
  const count = Math.max(...Object.values(now).map((values) => [values].flat().length));
  const runs = Array.from({ length: count }, (_, run) => ({
    path: '',
    conditions: new Map(),
    metrics: new Map(Object.entries(now).map(([name, values]) => [name, [values].flat()[run]!])),
    within: of.now[run],
  }));
  return compareWithBaseline(baseline, runs, THRESHOLDS);
}

describe('ruleOf', () => {
  test('knows that loss, time, energy and memory should be low, throughput and accuracy high', () => {
    const low = [
      'final_loss',
      'energy_per_step_joules',
      'total_time_sec',
      'memory_utilization_percent',
      'testLoss',
    ];
    const high = [
      'performance_per_watt',
      'scaling_efficiency_pct',
      'tokens_per_sec',
      'samplesPerSecond',
    ];
    for (const name of low)
      assert.deepEqual([ruleOf(name).better, ruleOf(name).isGuess], ['lower', false], name);
    for (const name of high)
      assert.deepEqual([ruleOf(name).better, ruleOf(name).isGuess], ['higher', false], name);
  });

  test('guesses unknown names by their words', () => {
    const lower = { better: 'lower', threshold: 'latency', of: 'cost', isGuess: true };
    const higher = { better: 'higher', threshold: 'throughput', of: 'cost', isGuess: true };
    assert.deepEqual(ruleOf('my_step_time'), lower);
    assert.deepEqual(ruleOf('decode_p99'), { ...lower, threshold: 'p99' });
    assert.deepEqual(ruleOf('val_loss'), { ...lower, of: 'outcome' });
    assert.deepEqual(ruleOf('mean_accuracy'), { ...higher, of: 'outcome' });
    assert.deepEqual(ruleOf('f1'), higher);
  });
});

describe('compareWithBaseline', () => {
  test('finds what became worse beyond the threshold of its class, in the direction of each', () => {
    const report = compare(
      {
        final_loss: 1,
        latency_p50_ms: 100,
        latency_p99_ms: 100,
        tokens_per_sec: 100,
        scaling_efficiency_pct: 100,
      },
      {
        final_loss: 2,
        latency_p50_ms: 105.1,
        latency_p99_ms: 109,
        tokens_per_sec: 94,
        scaling_efficiency_pct: 110,
      },
    );

    assert.deepEqual(Object.keys(report.regressions), [
      'final_loss',
      'latency_p50_ms',
      'tokens_per_sec',
    ]);
    assert.deepEqual(Object.keys(report.improvements), ['scaling_efficiency_pct']);
    assert.deepEqual(
      [report.has_regressions, report.total_metrics, report.noise_known],
      [true, 5, false],
    );
    assert.deepEqual(report.comparisons['tokens_per_sec'], {
      metric_name: 'tokens_per_sec',
      baseline_value: 100,
      current_value: 94,
      percent_change: -6,
      is_regression: true,
      threshold: 5,
      better: 'higher',
      direction_guessed: false,
      status: 'regressed',
      baseline_runs: 1,
      current_runs: 1,
      difference_interval: null,
    });
  });

  test('lets a change of exactly the threshold pass', () => {
    assert.equal(compare({ latency_p50_ms: 100 }, { latency_p50_ms: 105 }).has_regressions, false);
  });

  test('defines changes from 0, of negative values, and of values that are no numbers', () => {
    const { comparisons, has_regressions } = compare(
      { a_time: 0, b_time: 0, c_speed: 0, d_loss: -1, e_loss: 1, f_loss: NaN },
      { a_time: 0, b_time: 1, c_speed: 1, d_loss: -2, e_loss: NaN, f_loss: 1 },
    );

    const summary = Object.values(comparisons).map((one) => [
      one.percent_change,
      one.status,
      one.is_regression,
    ]);
    assert.deepEqual(summary, [
      [0, 'ok', false],
      [null, 'regressed', true],
      [null, 'improved', false],
      [-100, 'improved', false],
      [null, 'not-comparable', true],
      [null, 'not-comparable', false],
    ]);
    assert.equal(has_regressions, true);
  });

  test('does not judge what only one side has, and names it', () => {
    const report = compare({ a_time: 1, energy: 2 }, { a_time: 1, power: 3 });

    assert.deepEqual([report.missing_metrics, report.new_metrics], [['energy'], ['power']]);
    assert.equal(report.has_regressions, false);
  });

  test('takes a large change for noise when runs vary as much, and not when they do not', () => {
    const noisy = compare({ a_time: [100, 130, 70] }, { a_time: [150, 80, 110] });
    const steady = compare({ a_time: [100, 101, 99] }, { a_time: [113, 114, 112] });
    const small = compare({ a_time: [100, 100.1, 99.9] }, { a_time: [104, 104.1, 103.9] });

    assert.deepEqual(
      [noisy.comparisons['a_time']?.status, noisy.noise_known],
      ['within-noise', true],
    );
    assert.equal(steady.comparisons['a_time']?.status, 'regressed');
    assert.equal(small.comparisons['a_time']?.status, 'ok');
  });

  test('raises few false alarms where single runs would raise many, and misses no real slowdown', () => {
    const words = new RandomWords(3, 'synthetic');
    let next = 0;
    const times = (mean: number): number[] =>
      Array.from({ length: 5 }, () => mean * (1 + 0.2 * (words.uniform(next++) - 0.5)));
    let [single, several, missed] = [0, 0, 0];
    for (let trial = 0; trial < 300; trial++) {
      const [before, same, slower] = [times(100), times(100), times(130)];
      if (compare({ a_time: before[0]! }, { a_time: same[0]! }).has_regressions) single++;
      if (compare({ a_time: before }, { a_time: same }).has_regressions) several++;
      if (!compare({ a_time: before }, { a_time: slower }).has_regressions) missed++;
    }
    assert.ok(single > 60, `${single} of 300 single runs`);
    assert.ok(several <= 9, `${several} of 300 with five runs each`);
    assert.equal(missed, 0);
  });

  test('raises few false alarms over twenty metrics of three runs together', () => {
    const words = new RandomWords(5, 'synthetic');
    let next = 0;
    const names = Array.from({ length: 20 }, (_, i) => `metric${i}_time`);
    const runs = (): Values =>
      Object.fromEntries(
        names.map((name) => [name, [1, 2, 3].map(() => 100 + 60 * words.uniform(next++))]),
      );
    let alarms = 0;
    for (let trial = 0; trial < 100; trial++) if (compare(runs(), runs()).has_regressions) alarms++;
    assert.ok(alarms <= 8, `${alarms} of 100`);
  });

  test('points out what was run differently', () => {
    const baseline: Baseline = {
      name: 'b',
      timestamp: '',
      metrics: new Map([['a_time', [1]]]),
      conditions: new Map<string, number | string>([
        ['num_workers', 2],
        ['model', 'mlp'],
        ['seed', 1],
      ]),
      within: [],
    };
    const conditions = new Map<string, number | string>([
      ['num_workers', 4],
      ['model', 'mlp'],
    ]);

    const report = compareWithBaseline(
      baseline,
      [{ path: '', metrics: new Map([['a_time', 1]]), conditions }],
      THRESHOLDS,
    );

    assert.deepEqual(report.different_conditions, ['num_workers: 2 before, 4 now']);
  });
});

describe('compareWithBaseline, one run of steps on each side', () => {
  /** Parts of a run that vary by a tenth around `mean`. */
  const parts = (mean: number, exactAmong: string | null = 'class'): WithinRun => ({
    rates: [1, 0.9, 1.1, 1, 0.9, 1.1, 1, 0.9, 1.1, 1].map((part) => part * mean),
    exactAmong,
  });
  const run = (rate: number, more: Values = {}): Values => ({
    throughput_samples_per_sec: rate,
    final_loss: 0.5,
    latency_p99_ms: 10,
    ...more,
  });
  const within = (before: number, now: number) => ({ before: [parts(before)], now: [parts(now)] });
  const statusOf = (report: ComparisonReport, name: string) => report.comparisons[name]?.status;

  test('judges throughput by the spread of the parts, and shows what else the machine took', () => {
    const slower = run(80, { latency_p99_ms: 100 });
    const report = compare(run(100), slower, within(100, 80));

    assert.equal(report.has_regressions, false);
    assert.equal(statusOf(report, 'throughput_samples_per_sec'), 'within-noise');
    assert.equal(statusOf(report, 'latency_p99_ms'), 'not-judged');
    assert.equal(report.noise_known, true);
    assert.deepEqual(
      comparisonChecks(report).map(({ name }) => name),
      ['throughput_samples_per_sec', 'final_loss'],
    );
  });

  test('finds a slowdown beyond the spread; a speed-up is none', () => {
    const slow = compare(run(100), run(60), within(100, 60));
    const fast = compare(run(60), run(100), within(60, 100));

    assert.deepEqual(Object.keys(slow.regressions), ['throughput_samples_per_sec']);
    assert.deepEqual(Object.keys(fast.improvements), ['throughput_samples_per_sec']);
    assert.equal(fast.has_regressions, false);
  });

  test('knows the spread of both when one side has steps', () => {
    const report = compare(run(100), run(60), { before: [], now: [parts(60)] });

    assert.equal(statusOf(report, 'throughput_samples_per_sec'), 'regressed');
  });

  test('finds any rise of a loss where losses are exact, and takes a fall for none', () => {
    const up = compare(run(100), run(100, { final_loss: 0.5 + 2 ** -40 }), within(100, 100));
    const down = compare(run(100), run(100, { final_loss: 0.5 - 2 ** -40 }), within(100, 100));

    assert.deepEqual(Object.keys(up.regressions), ['final_loss']);
    assert.equal(down.has_regressions, false);
    assert.equal(statusOf(down, 'final_loss'), 'improved');
  });

  test('allows losses the threshold where sums may have any order, or on another class of machines', () => {
    for (const word of [null, 'another class']) {
      const of = { before: [parts(100)], now: [parts(100, word)] };
      const near = compare(run(100), run(100, { final_loss: 0.51 }), of);
      const far = compare(run(100), run(100, { final_loss: 0.55 }), of);

      assert.deepEqual([near.has_regressions, far.has_regressions], [false, true], String(word));
    }
  });

  test('judges nothing but outcomes without steps, and everything that has become no number', () => {
    const of = { before: [{ rates: [], exactAmong: 'c' }], now: [{ rates: [], exactAmong: 'c' }] };
    const report = compare(run(100), run(50), of);
    const broken = compare(run(100), run(100, { latency_p99_ms: NaN }), of);

    assert.equal(statusOf(report, 'throughput_samples_per_sec'), 'not-judged');
    assert.deepEqual(Object.keys(broken.regressions), ['latency_p99_ms']);
  });
});

describe('comparisonChecks', () => {
  test('is one check per metric, which says by how much', () => {
    assert.deepEqual(comparisonChecks(compare({ a_time: 100 }, { a_time: 150 })), [
      {
        name: 'a_time',
        passed: false,
        message: '100 in the baseline, 150 now (+50.00%); lower is better, threshold 5%',
      },
    ]);
  });
});
