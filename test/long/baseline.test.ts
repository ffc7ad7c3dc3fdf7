/** `lockstep baseline` with runs of its own. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { ComparisonReport } from '../../src/validate/compare/compare-baseline.ts';
import { startLockstep, temporaryFolder } from '../cluster/processes.ts';
import { lockstep } from '../cluster/lockstep-command.ts';

describe('lockstep baseline', () => {
  test('measures runs itself, knows their noise, and ends them when interrupted', async (t) => {
    const folder = temporaryFolder(t);
    const flags = ['--name', 'measured', '--baseline-dir', folder];
    const runFlags = ['--', '--workers', '1', '--steps', '10'];

    const saved = await lockstep(t, 'baseline', 'save', ...flags, '--runs', '2', ...runFlags);
    const compared = await lockstep(
      t,
      ...['baseline', 'compare', ...flags, '--runs', '2', '--json', '--latency-threshold', '1000'],
      ...['--throughput-threshold', '1000', '--p99-threshold', '1000', ...runFlags],
    );
    const long = startLockstep(t, [
      ...['baseline', 'save', '--name', 'long', '--baseline-dir', folder, '--runs', '2'],
      ...['--', '--workers', '1', '--steps', '1000000'],
    ]);
    await long.saying(/run 1 of 2/);
    long.signal('SIGTERM');
    const { status } = await long.end(20_000);

    assert.deepEqual(
      [saved.status, compared.status, status],
      [0, 0, 130],
      saved.stderr + compared.stderr,
    );
    const report = JSON.parse(compared.stdout) as ComparisonReport;
    assert.deepEqual(
      [report.noise_known, report.comparisons['total_time_sec']?.current_runs],
      [true, 2],
    );
    assert.equal(report.comparisons['final_loss']?.percent_change, 0);
    assert.equal(existsSync(join(folder, 'long.json')), false);
  });
});
