import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Alarm } from './alarms.ts';
import { FAULTS } from './fault-catalogue.ts';
import { judgeFault, NO_WORKER, type ObservedRun, type FaultTrial } from './fault-verdict.ts';
import { faultResultSchema } from '../results/result.ts';

const CONTROL: ObservedRun = {
  end: 'finished',
  alarms: [],
  stateDigest: 'clean',
  losses: [3, 2, 1],
  seconds: 1,
};
const INJECTION = { step: 4, atMs: 1_000 };

function alarm(kind: Alarm['kind'], rank: number | null, more: Partial<Alarm> = {}): Alarm {
  return { kind, rank, step: 6, atMs: 1_250, reason: `${kind} it is`, ...more };
}

function trial(
  name: string,
  alarms: readonly Alarm[],
  changes: Partial<FaultTrial> = {},
): FaultTrial {
  const fault = FAULTS.find((each) => each.name === name);
  assert.ok(fault !== undefined);
  const run = { ...CONTROL, alarms };
  const given = { fault, affectedRank: 1, seed: 42, injection: INJECTION, tolerance: 0.01 };
  return { ...given, run, control: CONTROL, ...changes };
}

describe('judgeFault', () => {
  test(
    'says detected, where and after how long, when the first alarm names the worker for the ' +
      'right reason',
    () => {
      const result = judgeFault(trial('gradient_zeros', [alarm('worker-distrusted', 1)]));

      assert.equal(result.was_detected, true);
      assert.equal(result.reason, 'worker-distrusted it is');
      assert.deepEqual(
        [
          result.named_rank,
          result.injection_step,
          result.detected_step,
          result.detection_latency_steps,
        ],
        [1, 4, 6, 2],
      );
      assert.equal(result.detection_latency_ms, 250);
      assert.deepEqual([result.recovered, result.digest_equal], [true, true]);
      assert.deepEqual(result['false_alarms'], []);
      faultResultSchema.parse(result);
    },
  );

  test('says missed when no detector said anything', () => {
    const result = judgeFault(trial('gradient_zeros', []));

    assert.equal(result.was_detected, false);
    assert.equal(result.named_rank, null);
    assert.deepEqual([result.detected_step, result.detection_latency_ms], [null, null]);
    assert.equal(result.reason, 'no detector said anything; the run finished after 3 steps');
    faultResultSchema.parse(result);
  });

  test('says missed when another worker is named first, even if the right one is named later', () => {
    const alarms = [alarm('worker-distrusted', 2), alarm('worker-distrusted', 1)];
    const result = judgeFault(trial('gradient_zeros', alarms));

    assert.deepEqual([result.was_detected, result.named_rank], [false, 2]);
    assert.match(
      result.reason,
      /^expected worker-distrusted of rank 1, but the first alarm was .* rank 2/,
    );
    assert.deepEqual(result['false_alarms'], [
      'worker-distrusted, rank 2, step 6: worker-distrusted it is',
    ]);
  });

  test('says missed when the worker is named for a reason that does not show this fault', () => {
    const result = judgeFault(trial('gradient_zeros', [alarm('worker-slow', 1)]));

    assert.deepEqual([result.was_detected, result.named_rank], [false, 1]);
  });

  test('does not count what was said before the fault began, and calls it a false alarm', () => {
    const result = judgeFault(trial('kill', [alarm('worker-lost', 1, { atMs: 900, step: 3 })]));

    assert.equal(result.was_detected, false);
    assert.equal((result['false_alarms'] as string[]).length, 1);
  });

  test('says missed when the fault never began, whatever was said', () => {
    const result = judgeFault(trial('kill', [alarm('worker-lost', 1)], { injection: undefined }));

    assert.equal(result.was_detected, false);
    assert.equal(result['status'], 'never began');
    assert.match(result.reason, /the run ended before the fault began/);
  });

  test('wants no worker to be blamed for a fault of the coordinator', () => {
    const changes = { affectedRank: NO_WORKER };
    const run: ObservedRun = { ...CONTROL, end: 'failed', stateDigest: undefined, losses: [3] };
    const failure = { ...run, alarms: [alarm('file-failed', null)] };
    const blamed = { ...run, alarms: [alarm('worker-lost', 0), alarm('file-failed', null)] };

    assert.equal(
      judgeFault(trial('disk_full', [], { ...changes, run: failure })).was_detected,
      true,
    );
    assert.equal(
      judgeFault(trial('disk_full', [], { ...changes, run: blamed })).was_detected,
      false,
    );
    assert.equal(
      judgeFault(trial('disk_full', [], { ...changes, run: failure })).digest_equal,
      null,
    );
  });

  test('counts as recovered only the clean model, or losses within the tolerance', () => {
    const recoveredWith = (changes: Partial<ObservedRun>): boolean | undefined =>
      judgeFault(trial('kill', [], { run: { ...CONTROL, ...changes } })).recovered;

    assert.equal(recoveredWith({}), true);
    assert.equal(recoveredWith({ end: 'failed', stateDigest: undefined, losses: [3, 2] }), false);
    assert.equal(recoveredWith({ end: 'out-of-time', stateDigest: undefined }), false);
    assert.equal(recoveredWith({ stateDigest: 'other', losses: [3, 2.01, 1] }), true);
    assert.equal(recoveredWith({ stateDigest: 'other', losses: [3, 2.1, 1] }), false);
    assert.equal(recoveredWith({ stateDigest: 'other', losses: [3, Number.NaN, 1] }), false);
    assert.equal(recoveredWith({ stateDigest: 'other', losses: [3, 2] }), false);
  });

  test('never gives a negative latency after a rollback', () => {
    const result = judgeFault(trial('stale_worker', [alarm('worker-distrusted', 1, { step: 0 })]));

    assert.equal(result.detection_latency_steps, 0);
  });
});
