import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { committedOf, countedOf, joinMember, makePass, recordOf } from '../../test/pass-facts.ts';
import { makeTestPlan, NO_BYTES, ScriptedWorker } from '../../test/scripted-worker.ts';
import { ManualClock } from '../base/clock.ts';
import { DEFAULT_TIMING } from '../membership/timing.ts';
import type { RunEvent } from '../metrics/events.ts';
import { SimulatedHost } from '../transport/memory-network.ts';
import { Coordinator } from './coordinator.ts';
import { SlowWorkers } from './slow-workers.ts';

const FAST_MS = 1;

/**
 * Three workers in a run of many steps, computed pass by pass: each takes so long for one
 * micro-batch.
 */
function startRun() {
  const clock = new ManualClock();
  const host = new SimulatedHost('coordinator');
  const events: RunEvent[] = [];
  let sessions = 0;
  const coordinator = new Coordinator({
    plan: makeTestPlan({ minWorkers: 3, totalSteps: 10_000 }),
    bytes: NO_BYTES,
    clock,
    timing: DEFAULT_TIMING,
    newSession: () => `session-${sessions++}`,
    onEvent: (event) => void events.push(event),
    onFinished: () => {},
    onFailed: (error) => assert.fail(error),
  });
  const door = { clock, host, accept: coordinator.accept.bind(coordinator) };
  const workers = ['a', 'b', 'c'].map((name) => new ScriptedWorker(door, name).join());
  /** Computes a pass; gives the number of micro-batches that each worker got. */
  const pass = (slowMs: number, besidesMs = 0): number[] => {
    const counts = workers.map((worker) => worker.leases().length);
    const [a, b, c] = workers;
    clock.advance(besidesMs);
    for (const fast of [a!, c!])
      if (fast.leases().length > 0) fast.contribute({ record: { computeMs: FAST_MS }, besidesMs });
    if (b!.leases().length > 0) {
      clock.advance(slowMs);
      b!.contribute({ record: { computeMs: slowMs }, besidesMs });
    }
    clock.advance(5);
    return counts;
  };
  for (let i = 0; i < 5; i++) pass(FAST_MS);
  const slow = (): RunEvent[] => events.filter(({ kind }) => kind === 'worker-slow');
  return { clock, coordinator, events, pass, slow };
}

describe('a worker that has become slow', () => {
  test('is tried again ever more rarely, and reported at its third slow step', () => {
    const { pass, slow, coordinator } = startRun();
    const reportedAt: number[] = [];

    const counts = Array.from({ length: 17 }, (_, index) => {
      const [, count] = pass(500);
      if (slow().length > reportedAt.length) reportedAt.push(index);
      return count;
    });

    assert.deepEqual(counts, [3, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
    assert.deepEqual(reportedAt, [3]);
    assert.deepEqual(slow()[0], {
      kind: 'worker-slow',
      workerId: 'b',
      rank: 1,
      step: coordinator.committedSteps - 13,
      where: 'compute',
      ms: 500,
      othersMs: FAST_MS,
    });
  });

  test('has its share back after the first trial in which it is not slow', () => {
    const { pass } = startRun();
    const usual = pass(FAST_MS);

    pass(500);
    pass(FAST_MS);

    assert.deepEqual(pass(FAST_MS), usual);
  });

  test('costs the others no more than a hundredth of the time in the long run', () => {
    const { clock, pass } = startRun();
    const passWithPause = (): number => pass(50, 100)[1]!;
    for (let i = 0; i < 200; i++) passWithPause();

    const startMs = clock.now();
    let tries = 0;
    for (let i = 0; i < 500; i++) tries += passWithPause();

    const tookMs = clock.now() - startMs;
    assert.ok(tries >= 5, `tried ${tries} times`);
    assert.ok(tries * 50 < 0.011 * tookMs, `${tries} trials in ${tookMs} ms`);
  });

  test('is not reported for one slow step', () => {
    const { pass, slow } = startRun();

    pass(5_000 / 2);
    for (let i = 0; i < 50; i++) pass(FAST_MS);

    assert.deepEqual(slow(), []);
  });
});

describe('SlowWorkers', () => {
  /**
   * What one worker does in a step: micro-batches of these times on its lanes, busy so long, away
   * so long.
   */
  interface Work {
    readonly computeMs: readonly number[];
    readonly lanes?: number;
    readonly busyMs: number;
    readonly turnaroundMs: number;
  }

  /** Reports in ten steps of this work by ranks 0, 1, ... */
  function reportsOf(...works: readonly Work[]): string[] {
    const reports: string[] = [];
    const slow = new SlowWorkers(({ rank, workerId, where, step }) => {
      reports.push(`${rank} ${workerId} ${where} ${step}`);
    });
    const clock = new ManualClock();
    const members = works.map(
      ({ lanes = 1 }, rank) => joinMember(clock, `worker ${rank}`, { lanes }).member,
    );
    for (let step = 0; step < 10; step++) {
      const pass = makePass({ step });
      for (const [rank, { computeMs, busyMs, turnaroundMs }] of works.entries()) {
        const records = computeMs.map((ms, microBatch) => recordOf(microBatch, { computeMs: ms }));
        const times = { nowMs: 0, turnaroundMs, busyMs };
        slow.counted(countedOf(members[rank]!, pass, records, times));
      }
      slow.completed(committedOf(pass, 0));
    }
    return reports;
  }

  const usual: Work = { computeMs: [10, 10, 10], busyMs: 40, turnaroundMs: 42 };

  test('sees a worker that is busy with something else than micro-batches', () => {
    const absent = { computeMs: [10], busyMs: 250, turnaroundMs: 252 };

    assert.deepEqual(reportsOf(usual, usual, absent), ['2 worker 2 compute 4']);
  });

  test('sees a link that takes its time', () => {
    assert.deepEqual(reportsOf(usual, { ...usual, turnaroundMs: 260 }, usual), [
      '1 worker 1 link 4',
    ]);
  });

  test('does not take an update of the state for slowness of who has few micro-batches', () => {
    const one = { computeMs: [10], busyMs: 310, turnaroundMs: 312 };
    const many = { computeMs: Array<number>(20).fill(10), busyMs: 500, turnaroundMs: 502 };

    assert.deepEqual(reportsOf(many, one, many), []);
  });

  test('does not take an uneven number of micro-batches on several lanes for slowness', () => {
    const even = { computeMs: [200, 200], lanes: 2, busyMs: 201, turnaroundMs: 202 };
    const uneven = { computeMs: [200, 200, 200], lanes: 2, busyMs: 401, turnaroundMs: 402 };

    assert.deepEqual(reportsOf(even, uneven, even), []);
  });
});
