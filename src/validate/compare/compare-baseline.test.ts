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

type Values = Readonly<Record<string, number | readonly number[]>>;
const THRESHOLDS = { latency: 5, throughput: 5, p99: 10 };

function compare(before: Values, now: Values): ComparisonReport {
  const lists = Object.entries(before).map(([name, of]): [string, number[]] => [name, [of].flat()]);
  const baseline: Baseline = {
    name: 'b',
    timestamp: '',
    metrics: new Map(lists),
    conditions: new Map(),
  };
  const count = Math.max(...Object.values(now).map((of) => [of].flat().length));
  const runs = Array.from({ length: count }, (_, run) => ({
    path: '',
    conditions: new Map(),
    metrics: new Map(Object.entries(now).map(([name, of]) => [name, [of].flat()[run]!])),
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
    assert.deepEqual(ruleOf('my_step_time'), {
      better: 'lower',
      threshold: 'latency',
      isGuess: true,
    });
    assert.deepEqual(ruleOf('decode_p99'), { better: 'lower', threshold: 'p99', isGuess: true });
    assert.deepEqual(ruleOf('val_loss'), { better: 'lower', threshold: 'latency', isGuess: true });
    assert.deepEqual(ruleOf('mean_accuracy'), {
      better: 'higher',
      threshold: 'throughput',
      isGuess: true,
    });
    assert.deepEqual(ruleOf('f1'), { better: 'higher', threshold: 'throughput', isGuess: true });
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
