import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { assertGone } from '../cluster/processes.ts';
import { assertAllFound, faultTest, folder, startFaultTest } from './fault-testing.ts';

describe('lockstep fault-test', () => {
  test('finds a flipped bit by recomputing it, and a worker that was killed', async (t) => {
    const names = ['gradient_bit_flip', 'kill'];

    assertAllFound(await faultTest(t, '--faults', names.join(',')), names);
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
