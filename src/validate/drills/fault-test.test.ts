import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LockstepError } from '../../base/errors.ts';
import type { RunEvent } from '../../metrics/events.ts';
import { alarmOf, alarmText, failureAlarm } from './alarms.ts';
import { isPassed, isUnrecovered } from './fault-test.ts';
import type { FaultReport, FaultResult } from '../results/result.ts';

const HEARD = { step: 7, atMs: 1_000 };
const WHO = { rank: 1, workerId: 'w', step: 7 };

describe('alarmOf', () => {
  test('gives the word of every detector, with the worker that it names', () => {
    const events: readonly [RunEvent, string][] = [
      [
        { kind: 'worker-slow', ...WHO, where: 'compute', ms: 500, othersMs: 0.25 },
        'worker-slow, rank 1, step 7: computes more slowly than the others: 500.0 ms a ' +
          'micro-batch, the others 0.3 ms',
      ],
      [
        { kind: 'worker-slow', ...WHO, where: 'link', ms: 200, othersMs: 1 },
        'worker-slow, rank 1, step 7: is reached more slowly than the others: 200.0 ms a ' +
          'step, the others 1.0 ms',
      ],
      [
        { kind: 'worker-stalled', ...WHO, silentMs: 2_000, reason: 'silence' },
        'worker-stalled, rank 1, step 7: silence',
      ],
      [{ kind: 'worker-lost', ...WHO, reason: 'gone' }, 'worker-lost, rank 1, step 7: gone'],
      [
        { kind: 'worker-distrusted', ...WHO, microBatch: 3, reason: 'wrong' },
        'worker-distrusted, rank 1, step 7: wrong',
      ],
      [
        { kind: 'worker-refused', peer: 'p', rank: 2, reason: 'twice' },
        'worker-refused, rank 2, step 7: twice',
      ],
      [{ kind: 'worker-refused', peer: 'p', reason: 'nobody' }, 'worker-refused, step 7: nobody'],
      [
        { kind: 'clock-jumped', ...WHO, jumpMs: 3_600_000 },
        'clock-jumped, rank 1, step 7: its clock jumped by 3600.0 s',
      ],
    ];
    for (const [event, text] of events) {
      const alarm = alarmOf(event, HEARD);
      assert.ok(alarm !== undefined);
      assert.equal(alarmText(alarm), text);
      assert.equal(alarm.atMs, 1_000);
    }
  });

  test('is silent about what belongs to every run, or follows from something else', () => {
    const events: readonly RunEvent[] = [
      { kind: 'micro-batches-reissued', step: 7, fromRank: 1, microBatches: [3] },
      { kind: 'step-redone', step: 0, reason: 'calibration' },
      { kind: 'rolled-back', fromStep: 9, toStep: 6, reason: 'distrusted' },
      { kind: 'run-waiting', step: 7, reason: 'nobody is there' },
    ];

    for (const event of events) assert.equal(alarmOf(event, HEARD), undefined);
  });
});

describe('failureAlarm', () => {
  test('names no worker, and gives the code', () => {
    const alarm = failureAlarm(
      new LockstepError('FILE_FAILED', 'writing x: the disk is full'),
      HEARD,
    );

    assert.deepEqual([alarm.kind, alarm.rank], ['run-failed', null]);
    assert.equal(alarm.reason, 'FILE_FAILED: writing x: the disk is full');
  });
});

describe('isPassed', () => {
  const report: FaultReport = {
    num_faults: 2,
    num_detected: 2,
    num_missed: 0,
    num_unrecovered: 0,
    num_false_alarms: 0,
    summary: '',
    results: [],
  };

  test('wants every fault detected, every recovery complete, and every clean run quiet', () => {
    assert.equal(isPassed(report), true);
    assert.equal(isPassed({ ...report, num_missed: 1 }), false);
    assert.equal(isPassed({ ...report, num_unrecovered: 1 }), false);
    assert.equal(isPassed({ ...report, num_false_alarms: 1 }), false);
  });
});

describe('isUnrecovered', () => {
  const result: FaultResult = {
    fault_type: 'kill',
    affected_rank: 1,
    was_detected: true,
    reason: '',
  };

  test('is true only of runs that should have recovered and did not', () => {
    assert.equal(isUnrecovered({ ...result, expected_to_recover: true, recovered: true }), false);
    assert.equal(isUnrecovered({ ...result, expected_to_recover: true, recovered: false }), true);
    assert.equal(isUnrecovered({ ...result, expected_to_recover: false, recovered: false }), false);
  });
});
