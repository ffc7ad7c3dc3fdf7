import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { RunEvent } from '../metrics/events.ts';
import { Comparison } from './comparison.ts';
import { RecordedCourse } from './recorded-course.ts';

function stepOf(step: number, lossMean = 1 / (step + 2), stepMs = 7): RunEvent {
  const times = { stepMs, computeMs: 0, communicateMs: 0, waitMs: 0, otherMs: 0 };
  return {
    ...{ kind: 'step', step, epoch: 0, sampleCount: 32, lossMean, learningRate: 0.1, ...times },
    ranks: [],
  };
}

function stateOf(step: number, stateDigest: string): RunEvent {
  return { kind: 'checkpoint-written', step, weightsDigest: '', stateDigest };
}

const STARTED: RunEvent = {
  ...{ kind: 'run-started', runId: 'run', steps: 9, stepsPerEpoch: 3, parameterCount: 1 },
  ...{ microBatch: 32, globalBatch: 32 },
};

/** A run of three steps, and the state after the second. */
function recorded(): RecordedCourse {
  const course = new RecordedCourse();
  // Step 2 was computed twice: what it came to at last counts.
  for (const event of [stepOf(1), stepOf(2, 9), stepOf(2), stateOf(2, 'a'), stepOf(3)])
    course.add(event);
  return course;
}

/** Compares events with the record, up to step 3; gives also how often the end was told. */
function compared(...events: readonly RunEvent[]): [Comparison, number] {
  let ends = 0;
  const comparison = new Comparison(recorded(), { to: 3, wantsState: false }, () => ends++);
  for (const event of [STARTED, ...events]) comparison.onEvent(event);
  return [comparison, ends];
}

describe('RecordedCourse', () => {
  test('knows the last step, and where states are recorded', () => {
    assert.equal(recorded().lastStep, 3);
    assert.deepEqual(recorded().stateSteps, [2]);
  });
});

describe('Comparison', () => {
  test('counts what is the same, whatever time it took, and ends with the last step', () => {
    const [comparison, ends] = compared(
      ...[stepOf(1, undefined, 99), stepOf(2), stateOf(1, 'x'), stateOf(2, 'a'), stepOf(3)],
      ...[stepOf(4, 7), stateOf(4, 'y')],
    );

    assert.equal(comparison.difference, undefined);
    assert.deepEqual(comparison.counts, { step: 3, evaluation: 0, state: 1 });
    assert.ok(ends > 0);
  });

  test('names the first step with a digit that is another, and a state', () => {
    const [ofStep, ends] = compared(stepOf(1), stepOf(2, 0.25000000000000006), stepOf(3, 5));
    const [ofState] = compared(stepOf(1), stepOf(2), stateOf(2, 'b'), stepOf(3, 5));

    assert.deepEqual(ofStep.difference, {
      ...{ step: 2, what: 'step' },
      recorded: 'sampleCount 32, lossMean 0.25, learningRate 0.1',
      computed: 'sampleCount 32, lossMean 0.25000000000000006, learningRate 0.1',
    });
    assert.equal(ends, 1);
    assert.deepEqual(ofState.difference, {
      ...{ step: 2, what: 'state', recorded: 'a', computed: 'b' },
    });
  });

  test('does not end a run whose last step it is: its evaluation is still to come', () => {
    let ends = 0;
    const comparison = new Comparison(recorded(), { to: 3, wantsState: false }, () => ends++);

    for (const event of [{ ...STARTED, steps: 3 }, stepOf(1), stepOf(2), stepOf(3)])
      comparison.onEvent(event);

    assert.equal(ends, 0);
  });
});
