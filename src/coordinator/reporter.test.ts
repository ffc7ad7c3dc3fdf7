import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  begunOf,
  committedOf,
  countedOf,
  joinMember,
  makePass,
  recordOf,
  redoneOf,
} from '../../test/pass-facts.ts';
import { makeTestPlan } from '../../test/scripted-worker.ts';
import { ManualClock } from '../base/clock.ts';
import type { RunEvent } from '../metrics/events.ts';
import { EventReporter } from './reporter.ts';
import type { RunPlan } from '../plan/run-plan.ts';
import { StepTimes } from './steps/step-times.ts';

/** Step i, from 0, has the learning rate (i + 1) / 10. */
const RISING = { kind: 'constant', learningRate: 1, warmupSteps: 10 } as const;

/** A reporter of a run, and the events that it has told. */
function createWorld(changes: Partial<RunPlan> = {}) {
  const events: RunEvent[] = [];
  const times = new StepTimes();
  const plan = makeTestPlan({ schedule: RISING, totalSteps: 9, ...changes });
  const reporter = new EventReporter({ plan, times, emit: (event) => void events.push(event) });
  const clock = new ManualClock();
  const commit = (step: number): void => {
    const pass = makePass({ step, microBatchCount: 2, sampleCount: 4 });
    const records = [recordOf(0, { lossSum: 1 }), recordOf(1, { lossSum: 5 })];
    const { member } = joinMember(clock, 'worker 0');
    const part = countedOf(member, pass, records, { nowMs: 10, turnaroundMs: 10, busyMs: 8 });
    for (const listener of [times, reporter]) listener.begun(begunOf(pass, 0));
    for (const listener of [times, reporter]) listener.counted(part);
    for (const listener of [times, reporter]) listener.completed(committedOf(pass, 12, records));
  };
  return { clock, events, reporter, commit };
}

describe('EventReporter', () => {
  test('tells once a second how far a pass is, by what is counted and what workers say', () => {
    const { clock, events, reporter } = createWorld({
      evaluate: { sampleCount: 6, globalBatch: 8, microBatch: 2, split: 'test' },
    });
    const idle = { activity: 'handing-over', step: 0, done: 0, of: 1 } as const;
    const kind = 'progress';
    const told = (): unknown[] => events.splice(0);
    const { member } = joinMember(clock, 'worker 0');
    const pass = makePass({ step: 0, microBatchCount: 8, sampleCount: 16 });
    pass.lease(member.workerId, [0, 1, 2]);
    reporter.begun(begunOf(pass, 0, [member]));
    reporter.tick(900, idle);
    assert.deepEqual(told(), []);
    member.liveness.beat({ progress: 2 }, 0);
    reporter.tick(1_000, idle);
    reporter.tick(1_900, idle);
    pass.count([0, 1, 2].map((m) => recordOf(m)));
    reporter.tick(2_000, idle);
    const training = { kind, activity: 'training', step: 0, of: 8 };
    assert.deepEqual(told(), [
      { ...training, done: 2, elapsedMs: 1_000 },
      { ...training, done: 3, elapsedMs: 2_000 },
    ]);

    reporter.completed(redoneOf(pass, 2_500));
    reporter.tick(2_600, idle);
    reporter.tick(3_600, idle);
    assert.deepEqual(told().slice(1), [{ kind, ...idle, elapsedMs: 1_000 }]);
    const evaluation = makePass({ work: 'evaluate', microBatchCount: 3, sampleCount: 6 });
    reporter.begun(begunOf(evaluation, 4_000, [member]));
    reporter.tick(5_000, idle);
    const evaluating = { kind, activity: 'evaluating', step: 0, done: 0, of: 6 };
    assert.deepEqual(told(), [{ ...evaluating, elapsedMs: 1_000 }]);
  });

  test('reports a step with the means over its samples, its learning rate and its times', () => {
    const { events, commit } = createWorld();

    commit(3);

    assert.equal(events.length, 1);
    const [event] = events;
    assert.ok(event?.kind === 'step');
    const { step, lossMean, accuracy, learningRate, stepMs, computeMs } = event;
    assert.deepEqual(
      [step, lossMean, accuracy, learningRate, stepMs, computeMs],
      [4, 1.5, undefined, 0.4, 12, 8],
    );
  });

  test(
    'reports a step once, also when it is computed again from an older state, and anew ' +
      'when it was void',
    () => {
      const { events, reporter, commit } = createWorld();

      for (const step of [0, 1, 0, 1]) commit(step);
      reporter.undone({ fromStep: 2, toStep: 1, reason: 'distrusted', nowMs: 0 });
      commit(1);

      assert.deepEqual(
        events.map((event) => ('step' in event ? `${event.kind} ${event.step}` : event.kind)),
        ['step 1', 'step 2', 'rolled-back', 'step 2'],
      );
    },
  );

  test('reports a pass that is computed again, and how long an evaluation took', () => {
    const { events, reporter } = createWorld();
    const evaluation = makePass({ work: 'evaluate', step: 2, sampleCount: 2 });

    reporter.completed(redoneOf(makePass({ step: 1 }), 5));
    reporter.begun(begunOf(evaluation, 100));
    const outcome = { kind: 'evaluated', records: [recordOf(0, { lossSum: 3 })] } as const;
    reporter.completed({ spec: evaluation.spec, outcome, nowMs: 130 });

    assert.deepEqual(events, [
      { kind: 'step-redone', step: 1, reason: 'overflow' },
      {
        kind: 'evaluation',
        step: 2,
        epoch: 0,
        split: 'test',
        sampleCount: 2,
        lossMean: 1.5,
        evaluateMs: 30,
      },
    ]);
  });

  test('counts epochs in passes over the data where an epoch of the plan holds several', () => {
    const { events, reporter, commit } = createWorld({ passesPerEpoch: 3 });
    const evaluation = makePass({ work: 'evaluate', epoch: 1, sampleCount: 2 });
    const outcome = { kind: 'evaluated', records: [recordOf(0)] } as const;

    commit(3);
    reporter.completed({ spec: evaluation.spec, outcome, nowMs: 130 });

    const epochs = events.map((event) => 'epoch' in event && [event.kind, event.epoch]);
    assert.deepEqual(epochs, [
      ['step', 2],
      ['evaluation', 5],
    ]);
  });

  test('reports a member that was never ready as rejected, others as lost or stalled', () => {
    const { clock, events, reporter } = createWorld();
    const late = joinMember(clock, 'worker 2', { phase: 'loading' }).member;
    const { member } = joinMember(clock, 'worker 1');

    reporter.left({ how: 'lost', member: late, step: 4, reason: 'gone' });
    reporter.left({ how: 'stalled', member, step: 4, reason: 'silent', silentMs: 9 });
    reporter.left({ how: 'lost', member, step: 4, reason: 'gone' });

    const worker = { rank: 1, workerId: 'worker 1', step: 4 };
    assert.deepEqual(events, [
      {
        kind: 'worker-refused',
        peer: 'worker 2',
        rank: 2,
        reason: 'left before it was ready: gone',
      },
      { kind: 'worker-stalled', ...worker, silentMs: 9, reason: 'silent' },
      { kind: 'worker-lost', ...worker, reason: 'gone' },
    ]);
  });

  test('says that workers compute other bits when the first of another class joins', () => {
    const { clock, events, reporter } = createWorld();
    const members = ['one', 'two', 'two'].map(
      (numericsClass, i) => joinMember(clock, `worker ${i}`, { numericsClass }).member,
    );

    for (const [i, member] of members.entries())
      reporter.joined(member, 0, members.slice(0, i + 1));

    assert.deepEqual(
      events.filter(({ kind }) => kind === 'numerics-differ'),
      [
        {
          kind: 'numerics-differ',
          classes: [
            { numericsClass: 'one', ranks: [0] },
            { numericsClass: 'two', ranks: [1] },
          ],
        },
      ],
    );
    assert.equal(events.length, 4);
  });

  test(
    'reports norms of the first worker that sends them, by name, without those that are ' +
      'not finite',
    () => {
      const parameters = ['a', 'b', 'mean'].map((name) => ({
        name,
        shape: [1],
        statisticMomentum: name === 'mean' ? 0.1 : null,
      }));
      const { events, reporter } = createWorld({ job: { ...makeTestPlan().job, parameters } });

      reporter.norms(1, [2, null, 3]);
      reporter.norms(1, [9, 9, 9]);
      reporter.norms(2, []);

      assert.deepEqual(events, [{ kind: 'gradient-norms', step: 1, norms: { a: 2 } }]);
    },
  );

  test('says once that nobody can compute, until somebody has', () => {
    const { events, reporter, commit } = createWorld();

    for (let i = 0; i < 3; i++) reporter.waiting(0, 'nobody');
    commit(0);
    reporter.waiting(1, 'nobody');

    assert.deepEqual(
      events.map(({ kind }) => kind),
      ['run-waiting', 'step', 'run-waiting'],
    );
  });
});
