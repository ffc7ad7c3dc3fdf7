import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { RESULT_SCHEMA_FILE, resultSchemaPage } from '../../../scripts/write-result-schema.ts';
import { checkFile } from './check-file.ts';
import type { Document, FileKind } from '../results/read-result.ts';
import { problemText } from '../results/schema-problems.ts';

const step = (index: number, more: Document = {}): Document => ({
  step: index,
  loss: 1,
  throughput_samples_per_sec: 10,
  allreduce_time_ms: 1,
  compute_time_ms: 2,
  ...more,
});
const TRAINING = {
  num_workers: 1,
  num_steps: 2,
  steps: [step(0), step(1)],
  total_time_sec: 1,
  total_allreduce_time_ms: 2,
  total_compute_time_ms: 4,
  start_timestamp: '2026-01-02T03:04:05Z',
  end_timestamp: '2026-01-02T03:04:06Z',
  average_loss: 1,
  final_loss: 1,
  average_throughput_samples_per_sec: 10,
};

function lines(kind: FileKind, document: Document): string[] {
  return checkFile({ path: 'file', kind, document }).map(problemText);
}

describe('checkFile', () => {
  test('finds nothing wrong with the plain form, and lets keys of others be', () => {
    assert.deepEqual(lines('training', { ...TRAINING, theirs: { own: 'key' } }), []);
  });

  test('lists everything that is wrong, with paths, and equal problems of steps as one', () => {
    const { total_time_sec: _, ...rest } = TRAINING;
    const steps = [
      step(0),
      step(1, { loss: '1' }),
      step(2, { loss: '1' }),
      step(3, { compute_time_ms: null }),
    ];

    assert.deepEqual(lines('training', { ...rest, num_steps: 2.5, steps }), [
      'num_steps: expected a whole number, got 2.5',
      'steps[1].loss: expected a number, got "1" (and 1 more such field)',
      'steps[3].compute_time_ms: expected a number, got null',
      'total_time_sec: is missing; expected a number',
    ]);
  });

  test('looks into the payload of a canonical result', () => {
    const found = lines('result', {
      tool_name: 'x',
      tool_payload: { ...TRAINING, final_loss: NaN },
    });

    assert.ok(found.includes('metrics: is missing; expected an object'));
    assert.ok(found.includes('tool_payload.final_loss: expected a number, got NaN'));
  });

  test('finds numbers that contradict each other', () => {
    const times = { step_time_ms: 4, wait_time_ms: 0.5, other_time_ms: 0.4 };
    const good = [step(0, { ...times, loss_bits: '3ff0000000000000' }), step(1)];
    const bad = [
      step(0, { ...times, other_time_ms: 3 }),
      step(2, { loss_bits: '4000000000000000' }),
    ];

    assert.deepEqual(lines('training', { ...TRAINING, steps: good }), []);
    assert.deepEqual(lines('training', { ...TRAINING, num_steps: 3, final_loss: 2, steps: bad }), [
      'num_steps: is 3, but there are 2 steps',
      'final_loss: is 2, but the last step has 1',
      'steps[1].step: is 2, but the step before is 0',
      'steps[1].loss_bits: is 4000000000000000, but those of the loss 1 are 3ff0000000000000',
      'steps[0].step_time_ms: is 4, but compute, all-reduce, wait and other add up to 6.5',
    ]);
  });

  test('counts the results of a fault report', () => {
    const result = { fault_type: 'kill', affected_rank: 0, was_detected: true, reason: 'r' };
    const report = {
      num_faults: 2,
      num_detected: 2,
      num_missed: 1,
      summary: '',
      results: [result],
    };

    assert.deepEqual(lines('fault-report', report), [
      'num_faults: is 2, but 2 detected and 1 missed make 3',
      'num_detected: is 2, but of the results 1 are detected',
    ]);
  });

  test('says of a health file what is no status, and of other files that they have no schema', () => {
    const health = {
      run_id: 'r',
      total_steps: 1,
      completed_steps: 1,
      workers: [],
      timestamp: '',
      is_complete: 1,
    };

    assert.deepEqual(lines('health', health), ['is_complete: expected a boolean, got 1']);
    assert.deepEqual(lines('metrics', {}), [
      'expected a file with a schema, got a JSON object of no known kind',
    ]);
  });
});

describe('docs/result.schema.json', () => {
  test('is what scripts/write-result-schema.ts writes', async () => {
    assert.equal(readFileSync(RESULT_SCHEMA_FILE, 'utf8'), await resultSchemaPage());
  });
});
