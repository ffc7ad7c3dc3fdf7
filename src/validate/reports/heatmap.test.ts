import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { heatmapOf, stragglersOf } from './heatmap.ts';
import { heatmapReport } from './heatmap-report.ts';
import { exampleFile } from '../watch/run-example.contract.ts';
import { viewsOf } from './run-view.ts';

const SLOW_RANK_2 = { workers: 4, computeMs: (rank: number) => (rank === 2 ? 3.1 : 2) };

describe('stragglersOf', () => {
  test('marks what is more than 1.5 times the median, and no less', () => {
    assert.deepEqual(stragglersOf([2, 2, 3, 2], 'compute_time_ms'), [false, false, false, false]);
    assert.deepEqual(stragglersOf([2, 2, 3.01, 2], 'compute_time_ms'), [false, false, true, false]);
  });

  test('marks a throughput that is so much lower, not one that is higher', () => {
    assert.deepEqual(stragglersOf([100, 100, 66, 500], 'throughput_samples_per_sec'), [
      false,
      false,
      true,
      false,
    ]);
  });

  test('marks nobody who is alone or unknown', () => {
    assert.deepEqual(stragglersOf([9], 'compute_time_ms'), [false]);
    assert.deepEqual(stragglersOf([undefined, 9, undefined], 'compute_time_ms'), [
      false,
      false,
      false,
    ]);
  });
});

describe('heatmapOf', () => {
  test('has a row for each run and a column for each worker', () => {
    const map = heatmapOf(
      viewsOf([exampleFile('two.json'), exampleFile('four.json', SLOW_RANK_2)]),
      'compute_time_ms',
    );

    assert.deepEqual(map.rows, ['two', 'four']);
    assert.deepEqual(map.columns, ['rank 0', 'rank 1', 'rank 2', 'rank 3']);
    assert.deepEqual(map.values[0], [2, 2, undefined, undefined]);
    assert.deepEqual(map.isStraggler, [
      [false, false, false, false],
      [false, false, true, false],
    ]);
  });

  test('has, of one run, a row for each worker, and columns for all steps and for each', () => {
    const file = exampleFile('one.json', {
      workers: 3,
      steps: 5,
      computeMs: (rank, step) => (rank === 1 && step === 3 ? 9 : 2),
    });
    const map = heatmapOf(viewsOf([file]), 'compute_time_ms');

    assert.deepEqual(map.rows, ['rank 0', 'rank 1', 'rank 2']);
    assert.deepEqual(map.columns, ['all steps', 'step 0', 'step 1', 'step 2', 'step 3', 'step 4']);
    assert.deepEqual(map.values[1], [17 / 5, 2, 2, 2, 9, 2]);
    assert.deepEqual(map.isStraggler[1], [true, false, false, false, true, false]);
  });

  test('puts steps of a long run together', () => {
    const map = heatmapOf(viewsOf([exampleFile('long.json', { steps: 601 })]), 'compute_time_ms');
    assert.equal(map.columns.length, 61);
    assert.equal(map.columns[1], 'steps 0 to 9');
    assert.match(map.columns.at(-1)!, /to 600$/);
  });

  test('gives p99 and throughput by worker', () => {
    const views = viewsOf([exampleFile('a.json'), exampleFile('b.json')]);
    assert.deepEqual(heatmapOf(views, 'p99_allreduce_ms').values[0], [1, 1]);
    // 8 samples a step of 3.5 ms.
    assert.equal(Math.round(heatmapOf(views, 'throughput_samples_per_sec').values[0]![0]!), 2286);
  });

  test('takes the snapshots of a file whose steps tell nothing of workers', () => {
    const { payload, path } = exampleFile('plain.json');
    const steps = payload.steps.map((step) => ({ ...step, workers: [] }));
    const snapshot = {
      worker_id: 0,
      step: 9,
      loss: 1,
      throughput_samples_per_sec: 5,
      allreduce_time_ms: 6,
      compute_time_ms: 7,
      status: 'healthy' as const,
      timestamp: '',
    };
    const file = { path, payload: { ...payload, steps, worker_snapshots: [snapshot] } };

    assert.deepEqual(heatmapOf(viewsOf([file, file]), 'compute_time_ms').values, [[7], [7]]);
  });
});

describe('heatmapReport', () => {
  test('frames and names the straggler', () => {
    const views = viewsOf([exampleFile('two.json'), exampleFile('<b>.json', SLOW_RANK_2)]);
    const page = heatmapReport(heatmapOf(views, 'compute_time_ms'), 'compute_time_ms', [
      'two',
      '<b>',
    ]);

    assert.equal(page.split('class="straggler"').length - 1, 1);
    assert.match(page, /<li>&lt;b&gt;, rank 2: 3.1<\/li>/);
    assert.match(page, /! 1 straggler/);
    assert.doesNotMatch(page, /<b>/);
  });

  test('says that there is none', () => {
    const page = heatmapReport(
      heatmapOf(viewsOf([exampleFile('a.json')]), 'compute_time_ms'),
      'compute_time_ms',
      ['a'],
    );
    assert.match(page, /✓ No straggler/);
    assert.doesNotMatch(page, /class="straggler"/);
  });
});
