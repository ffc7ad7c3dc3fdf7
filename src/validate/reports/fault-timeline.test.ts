import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { faultTimeline } from './fault-timeline.ts';
import type { FaultReport, FaultResult } from '../results/result.ts';

const KILL: FaultResult = {
  fault_type: 'kill',
  affected_rank: 1,
  was_detected: true,
  reason: 'it closed its connection',
  named_rank: 1,
  injection_step: 4,
  detected_step: 6,
  detection_latency_steps: 2,
  recovered: true,
  digest_equal: true,
  loss_curve: [4, 2, 1],
};

function reportOf(results: FaultResult[], alarms: string[] = []): FaultReport {
  const missed = results.filter(({ was_detected }) => !was_detected).length;
  return {
    num_faults: results.length,
    num_detected: results.length - missed,
    num_missed: missed,
    summary: 'done',
    results,
    control: { state_digest: 'ab', false_alarms: alarms, loss_curve: [4, 2, 1] },
  };
}

describe('faultTimeline', () => {
  test('marks injection and detection, and says how long it took', () => {
    const page = faultTimeline(reportOf([KILL]), 'Faults');

    assert.equal(page.split('class="start"').length - 1, 1);
    assert.equal(page.split('class="end good"').length - 1, 1);
    assert.match(page, /✓ after 2 steps/);
    assert.match(page, /✓ 1 fault, all detected/);
    assert.match(page, /Equal to the clean run at every step/);
  });

  test('says what was missed, and where the loss leaves the clean one', () => {
    const missed = {
      ...KILL,
      was_detected: false,
      detected_step: null,
      detection_latency_steps: null,
      loss_curve: [4, 2, 1.5],
    };
    const page = faultTimeline(reportOf([KILL, missed]), 'Faults');

    assert.match(page, /✗ 1 of 2 faults missed/);
    assert.match(page, /✗ missed<\/text>/);
    assert.match(page, /Differs from the clean run from step 2 on/);
  });

  test('does not call a report good whose clean run raised alarms', () => {
    assert.match(
      faultTimeline(reportOf([KILL], ['rank <2> slow']), 'Faults'),
      /✗ 1 false alarm[^s]/,
    );
    assert.match(
      faultTimeline(reportOf([KILL], ['rank <2> slow']), 'Faults'),
      /rank &lt;2&gt; slow/,
    );
  });

  test('draws what a report of the original tells, which has no steps', () => {
    const page = faultTimeline(
      {
        num_faults: 1,
        num_detected: 1,
        num_missed: 0,
        summary: '1/1',
        results: [
          {
            fault_type: 'slow_worker',
            affected_rank: 0,
            was_detected: true,
            reason: 'Detected via throughput deviation',
          },
        ],
      },
      'Faults',
    );

    assert.match(page, /Detected via throughput deviation/);
    assert.doesNotMatch(page, /class="start"|Loss with each fault/);
  });

  test('shows hostile names as text', () => {
    const hostile = '<script>alert(1)</script>';
    const page = faultTimeline(
      { ...reportOf([{ ...KILL, fault_type: hostile, reason: hostile }]), summary: hostile },
      hostile,
    );
    assert.doesNotMatch(page, /<script/);
  });
});
