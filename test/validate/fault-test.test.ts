import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test, type TestContext } from 'node:test';
import { type FaultReport, faultReportSchema } from '../../src/validate/results/result.ts';
import { assertGone, type Program, startLockstep } from '../cluster/processes.ts';

/** A frozen worker costs five seconds, other data fifteen. */
const DEADLINE_MS = 240_000;

// Everything that fault-test leaves behind would be in here.
const folder = mkdtempSync(join(tmpdir(), 'lockstep-fault-test-test-'));
process.env['TMPDIR'] = folder;
after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));

interface Tested {
  readonly status: number | null;
  readonly report: FaultReport;
  readonly program: Program;
}

function startFaultTest(
  t: TestContext,
  args: readonly string[],
): { program: Program; output: string } {
  const output = join(folder, `${Math.random().toString(36).slice(2)}.json`);
  return {
    program: startLockstep(t, ['fault-test', '--output', output, '--json', ...args]),
    output,
  };
}

async function faultTest(t: TestContext, ...args: readonly string[]): Promise<Tested> {
  const { program, output } = startFaultTest(t, args);
  const { status } = await program.end(DEADLINE_MS);
  const report = faultReportSchema.parse(JSON.parse(program.stdout));
  assert.deepEqual(
    report,
    JSON.parse(readFileSync(output, 'utf8')),
    'the file is what was printed',
  );
  const left = readdirSync(folder).filter((name) => name.startsWith('lockstep-'));
  assert.deepEqual(left, [], 'no files of runs are left');
  return { status, report, program };
}

/**
 * Every fault was really injected, found with the right worker, and survived with the clean run's
 * model.
 */
function assertAllFound({ status, report, program }: Tested, names: readonly string[]): void {
  assert.deepEqual(report.control?.false_alarms, []);
  assert.deepEqual(
    report.results.map(({ fault_type: name }) => name),
    names,
  );
  for (const result of report.results) {
    const { fault_type: name, injection_step: injected, detected_step: detected } = result;
    assert.equal(result['status'], 'detected', `${name}: ${result.reason}`);
    assert.equal(result.named_rank, result.affected_rank, name);
    assert.ok(
      typeof injected === 'number' && typeof detected === 'number' && detected >= injected,
      name,
    );
    if (name !== 'disk_full')
      assert.deepEqual([result.recovered, result.digest_equal], [true, true], name);
  }
  assert.equal(status, 0, program.stderr);
}

describe('lockstep fault-test', () => {
  test('finds wrong gradients and old replicas by recomputing, and puts the worker out', async (t) => {
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

  test('finds workers that are gone or cannot be reached, and bytes that were damaged', async (t) => {
    const names = ['worker_timeout', 'kill', 'half_open', 'partition', 'corrupted_frame'];

    assertAllFound(await faultTest(t, '--faults', names.join(',')), names);
  });

  test('finds what is slow, in two places, what does not belong, a clock that jumps and a full disk', async (t) => {
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
    assert.match(
      full!.reason,
      /^FILE_FAILED: writing .*model\.onnx: the disk is full\. Free some space/,
    );
    assert.equal(full!.recovered, false);
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

  test('says missed, and ends with 1, when the detectors are off', async (t) => {
    const junit = join(folder, 'junit.xml');
    const fault = ['--faults', 'gradient_scale_half', '--audit', '0'];
    const { status, report, program } = await faultTest(
      t,
      ...fault,
      '--junit',
      junit,
      '--annotations',
      'github',
    );
    const [result] = report.results;

    assert.equal(status, 1);
    assert.deepEqual([report.num_faults, report.num_detected, report.num_missed], [1, 0, 1]);
    assert.deepEqual([result!.was_detected, result!.named_rank], [false, null]);
    assert.match(result!.reason, /^no detector said anything; the run finished after 20 steps/);
    assert.deepEqual([result!.digest_equal, result!.recovered], [false, false]);
    assert.ok(typeof result!.injection_step === 'number', 'it was injected');
    assert.match(program.stderr, /GRADIENT_SCALE_HALF: ✗ MISSED/);
    assert.match(program.stderr, /^::error title=lockstep fault-test%3A gradient_scale_half/m);
    assert.match(readFileSync(junit, 'utf8'), /<failure message="no detector said anything/);
  });

  test('refuses what it cannot do with one message, before it does anything', async (t) => {
    const refusals: readonly [readonly string[], RegExp][] = [
      [
        ['--faults', 'kil'],
        /^error: --faults: there is no fault "kil"\. Did you mean kill\? There are: slow_worker/,
      ],
      [['--steps', '3'], /^error: --steps: expected a whole number from 8 to 100000, got "3"/],
      [['--workers', '1'], /^error: --workers: expected a whole number from 2 to 64, got "1"/],
      [['--audit', 'often'], /^error: --audit: expected a number from 0 to 1, got "often"/],
      [['--output', '/dev/null/report.json'], /^error: --output \/dev\/null\/report\.json: /],
    ];
    for (const [args, message] of refusals) {
      const { program, output } = startFaultTest(t, args);
      const { status } = await program.end();

      assert.equal(status, 2, program.stderr);
      assert.match(program.stderr, message);
      assert.equal(program.stderr.trim().split('\n').length, 1);
      assert.equal(program.stdout, '');
      assert.ok(!existsSync(output));
    }
  });

  test('leaves nothing behind when it is interrupted', async (t) => {
    const { program, output } = startFaultTest(t, ['--faults', 'worker_timeout', '--verbose']);
    await program.saying(/running worker_timeout/);
    const workers = await program.during('three workers', () => {
      const children = readFileSync(`/proc/${program.pid}/task/${program.pid}/children`, 'utf8');
      const ids = children.split(' ').filter(Boolean).map(Number);
      return ids.length >= 3 && ids;
    });

    program.signal('SIGINT');
    const { status } = await program.end();

    assert.equal(status, 130, program.stderr);
    assert.equal(program.stdout, '');
    assert.ok(!existsSync(output));
    await assertGone(workers);
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.startsWith('lockstep-')),
      [],
    );
  });
});
