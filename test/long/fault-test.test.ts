/** Every fault that `lockstep fault-test` can inject, and clean runs. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { assertAllFound, faultTest } from '../validate/fault-testing.ts';

describe('lockstep fault-test', () => {
  test('finds wrong gradients and old replicas by recomputing, and evicts', async (t) => {
    const names = [
      ...[
        'gradient_sync_anomaly',
        'gradient_scale_10',
        'gradient_zeros',
        'gradient_nan',
        'gradient_sign_flip',
      ],
      ...['gradient_scale_half', 'gradient_bit_flip', 'gradient_mantissa_bit', 'stale_worker'],
    ];

    const tested = await faultTest(t, '--faults', names.join(','));

    assertAllFound(tested, names);
    const { results, control } = tested.report;
    for (const { fault_type: name, loss_curve: losses } of results)
      assert.deepEqual(
        losses,
        control?.loss_curve,
        `${name}: every step as if nothing had happened`,
      );
  });

  test('finds workers that are gone or out of reach, and bytes that were damaged', async (t) => {
    const names = ['worker_timeout', 'kill', 'half_open', 'partition', 'corrupted_frame'];

    assertAllFound(await faultTest(t, '--faults', names.join(',')), names);
  });

  test('finds what is slow, who does not belong, a clock that jumps, a full disk', async (t) => {
    const names = [
      'slow_worker',
      'delayed_frames',
      'duplicate_worker',
      'wrong_data',
      'clock_jump',
      'disk_full',
    ];

    const tested = await faultTest(t, '--faults', names.join(','));

    assertAllFound(tested, names);
    const full = tested.report.results.at(-1);
    assert.match(full!.reason, /^model\.onnx: the disk is full; it is in \S+-disk_full-saved-/);
  });

  test('raises no alarm in clean runs', async (t) => {
    const { report, status } = await faultTest(
      t,
      '--faults',
      'kill',
      '--runs',
      '4',
      '--seed',
      '100',
    );

    assert.equal(status, 0);
    assert.equal((report['controls'] as unknown[]).length, 4);
    assert.deepEqual(report.control?.false_alarms, []);
    assert.deepEqual(
      report.results.map(({ seed }) => seed),
      [100, 101, 102, 103],
    );
  });
});
