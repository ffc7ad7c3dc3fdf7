/** `lockstep baseline` as its user runs it. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, test } from 'node:test';
import type { ComparisonReport } from '../../src/validate/compare/compare-baseline.ts';
import { temporaryFolder } from '../cluster/processes.ts';
import { lockstep } from '../cluster/lockstep-command.ts';

/** The two runs whose comparison MiniCluster's README shows. */
const SAMPLES = resolve(import.meta.dirname, '../fixtures/minicluster');
const [STABLE, CURRENT] = [join(SAMPLES, 'stable.json'), join(SAMPLES, 'current.json')];

describe('lockstep baseline', () => {
  test("comes to the verdicts of MiniCluster's README on its own files", async (t) => {
    const folder = temporaryFolder(t);
    const baseline = ['--name', 'stable_v1', '--baseline-dir', join(folder, 'baselines')];
    const output = join(folder, 'report.json');

    const saved = await lockstep(t, 'baseline', 'save', '--metrics', STABLE, ...baseline);
    const compared = await lockstep(
      t,
      ...['baseline', 'compare', '--metrics', CURRENT, ...baseline, '--output', output],
      ...['--junit', join(folder, 'junit.xml'), '--annotations', 'github'],
    );
    const loose = await lockstep(
      t,
      ...[
        'baseline',
        'compare',
        '--metrics',
        CURRENT,
        ...baseline,
        '--latency-threshold',
        '7',
        '--json',
      ],
    );

    assert.deepEqual([saved.status, compared.status, loose.status], [0, 1, 0]);
    assert.match(saved.stdout, /^✓ Baseline 'stable_v1' saved successfully\n$/);
    const report = JSON.parse(readFileSync(output, 'utf8')) as ComparisonReport;
    assert.deepEqual(Object.keys(report.regressions), ['total_allreduce_time_ms']);
    assert.match(compared.stdout, /average_loss +0\.082000 → 0\.085200 \(\+3\.90%\) +✓\n/);
    assert.match(
      compared.stdout,
      /total_allreduce_time_ms +25300\.000000 → 26850\.000000 \(\+6\.13%\) +✗ REGRESS\n/,
    );
    assert.match(compared.stdout, /Noise: +unknown, one run on each side/);
    assert.match(
      compared.stderr,
      /^::error title=lockstep baseline compare%3A total_allreduce_time_ms::/m,
    );
    assert.match(readFileSync(join(folder, 'junit.xml'), 'utf8'), /tests="6" failures="1"/);
    assert.equal((JSON.parse(loose.stdout) as ComparisonReport).has_regressions, false);
  });

  test('takes what run, run --plain and train write; none is a regression of itself', async (t) => {
    const folder = temporaryFolder(t);
    const path = (name: string): string => join(folder, name);
    const outputs = ['--output', path('result.json'), '--plain', path('plain.json')];
    const health = ['--health-checkpoint-path', path('health.json')];
    const run = await lockstep(t, 'run', '--steps', '10', ...outputs, ...health);
    const train = await lockstep(
      t,
      ...[
        'train',
        '--dataset',
        'synthetic_regression',
        '--samples',
        '64',
        '--epochs',
        '1',
        '--workers',
        '1',
      ],
      ...['--out-dir', folder, '--name', 'trained'],
    );
    assert.deepEqual([run.status, train.status], [0, 0], run.stderr + train.stderr);

    for (const metrics of [path('result.json'), path('plain.json'), path('trained/summary.json')]) {
      const flags = ['--metrics', metrics, '--name', 'own', '--baseline-dir', path('baselines')];
      const saved = await lockstep(t, 'baseline', 'save', ...flags);
      const compared = await lockstep(t, 'baseline', 'compare', ...flags);
      assert.deepEqual([saved.status, compared.status], [0, 0], saved.stderr + compared.stderr);
      assert.match(compared.stdout, /RESULT: ✓ no regression/);
    }
    const listed = await lockstep(t, 'baseline', 'list', '--baseline-dir', path('baselines'));
    assert.deepEqual([listed.status, listed.stdout], [0, 'own\n']);
  });

  test('ends with 2 and one clear line for wrong input, and writes nothing', async (t) => {
    const folder = temporaryFolder(t);
    const baselines = join(folder, 'baselines');
    await lockstep(
      t,
      'baseline',
      'save',
      '--metrics',
      STABLE,
      '--name',
      'stable_v1',
      '--baseline-dir',
      baselines,
    );
    writeFileSync(
      join(folder, 'health.json'),
      JSON.stringify({ run_id: 'r', workers: [], is_complete: true }),
    );
    writeFileSync(join(folder, 'other.json'), JSON.stringify({ my_speed: 1 }));
    const compare = ['baseline', 'compare', '--baseline-dir', baselines];
    const save = ['baseline', 'save', '--baseline-dir', baselines];
    const cases: [args: string[], said: RegExp][] = [
      [
        [...compare, '--name', 'stable', '--metrics', CURRENT],
        /no baseline "stable".*there are: stable_v1\. Did you mean "stable_v1"\?/,
      ],
      [
        [...compare, '--name', 'stable_v1', '--metrics', join(folder, 'none.json')],
        /there is no such file/,
      ],
      [
        [...compare, '--name', 'stable_v1', '--metrics', join(folder, 'health.json')],
        /got a health file/,
      ],
      [
        [...compare, '--name', 'stable_v1', '--metrics', join(folder, 'other.json')],
        /no metric in common/,
      ],
      [
        [...compare, '--name', 'stable_v1', '--metrics', CURRENT, '--latency-threshold', '-5'],
        /--latency-threshold: expected a number from 0 to 1000/,
      ],
      [
        [...compare, '--name', 'stable_v1', '--metrics', CURRENT, '--p99-threshold', 'x'],
        /--p99-threshold/,
      ],
      [
        [...compare, '--name', 'stable_v1', '--metrics', CURRENT, '--output', folder],
        /--output .*this is a folder/,
      ],
      [[...save, '--name', '../outside', '--metrics', STABLE], /--name: expected letters/],
      [[...save, '--name', 'x'], /--metrics: expected the file of a run, or --runs/],
      [[...save, '--name', 'x', '--metrics', STABLE, '--', '--workers', '1'], /only with --runs/],
      [[...save, '--name', 'x', '--runs', '0'], /--runs: expected a whole number from 1 to 100/],
      [[...save, '--name', 'x', '--runs', '1', '--', '--workers', 'many'], /run 1 of 1: --workers/],
      [
        ['baseline', 'save', '--name', 'x', '--metrics', STABLE, '--baseline-dir', '/proc/none'],
        /--baseline-dir/,
      ],
    ];

    for (const [args, said] of cases) {
      const { status, stdout, stderr } = await lockstep(t, ...args);
      assert.match(stderr, said);
      assert.doesNotMatch(stderr, /\n {4}at /);
      assert.deepEqual(
        [status, stdout, readdirSync(baselines)],
        [2, '', ['stable_v1.json']],
        args.join(' '),
      );
    }
    assert.equal(existsSync(join(folder, 'outside.json')), false);
  });
});
