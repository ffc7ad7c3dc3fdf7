import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { ManualClock } from '../../base/clock.ts';
import type { LockstepError } from '../../base/errors.ts';
import type { RunEvent } from '../../metrics/events.ts';
import type { PowerSource } from './power-meter.ts';
import type { Health } from '../results/result.ts';
import { RunObserver } from './run-observer.ts';

const WALL_MS = Date.UTC(2026, 0, 2);

interface Watched {
  readonly observer: RunObserver;
  readonly clock: ManualClock;
  readonly path: string;
  readonly errors: LockstepError[];
  readonly health: () => Health;
}

function watch(t: TestContext, power?: PowerSource): Watched {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-observer-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'results', 'health.json');
  const clock = new ManualClock();
  const errors: LockstepError[] = [];
  const observer = new RunObserver({
    runId: 'a-run',
    totalSteps: 2,
    healthPath: path,
    host: 'here',
    power,
    clock,
    wallNow: () => WALL_MS + clock.now(),
    onFailed: (error) => errors.push(error),
  });
  t.after(() => observer.close());
  return {
    observer,
    clock,
    path,
    errors,
    health: () => JSON.parse(readFileSync(path, 'utf8')) as Health,
  };
}

const JOINED: RunEvent = {
  kind: 'worker-joined',
  rank: 0,
  workerId: 'worker-0',
  host: 'elsewhere',
  processId: 1,
  device: 'cpu',
  lanes: 1,
  numericsClass: 'a',
  stateFrom: 'coordinator',
  step: 0,
};

function stepOf(step: number): RunEvent {
  const times = { stepMs: 10, computeMs: 8, communicateMs: 2, waitMs: 0, otherMs: 0 };
  const ranks = [
    { rank: 0, samples: 32, microBatches: 8, computeMs: 8, communicateMs: 2, waitMs: 0 },
  ];
  return {
    kind: 'step',
    step,
    epoch: 0,
    sampleCount: 32,
    lossMean: 1,
    learningRate: 0.01,
    ...times,
    ranks,
  };
}

describe('RunObserver', () => {
  test('writes the health file at the start, five times a second, and at the end', (t) => {
    const { observer, clock, health } = watch(t);
    observer.start();
    assert.deepEqual([health().completed_steps, health().workers], [0, []]);
    observer.onEvent(JOINED);
    observer.onEvent(stepOf(1));
    assert.equal(health().completed_steps, 0, 'nothing is written between two looks');
    clock.advance(200);
    assert.deepEqual([health().completed_steps, health().is_complete], [1, false]);
    clock.advance(200);
    assert.equal(health().timestamp, '2026-01-02T00:00:00.400+00:00');
    observer.onEvent(stepOf(2));
    observer.finish(true);

    assert.deepEqual([health().completed_steps, health().is_complete], [2, true]);
    assert.equal(clock.pendingCount(), 0);
  });

  test('leaves a run that did not finish as incomplete', (t) => {
    const { observer, health } = watch(t);
    observer.start();
    observer.finish(false);

    assert.equal(health().is_complete, false);
  });

  test('never leaves half a file, not even for a moment', (t) => {
    const { observer, clock, path } = watch(t);
    observer.start();
    const first = statSync(path).ino;
    clock.advance(200);

    assert.notEqual(statSync(path).ino, first, 'another file took its place');
  });

  test('tells once that the file cannot be written, and writes it again when it can be', (t) => {
    const { observer, clock, path, errors, health } = watch(t);
    observer.start();
    rmSync(join(path, '..'), { recursive: true });
    writeFileSync(join(path, '..'), 'in the way');
    clock.advance(1000);

    assert.equal(errors.length, 1);
    assert.equal(errors[0]?.code, 'FILE_FAILED');
    assert.match(errors[0]?.message ?? '', /health\.json/);
    rmSync(join(path, '..'));
    clock.advance(200);
    assert.equal(health().is_complete, false);
  });

  test('measures power from the last worker’s joining to the last step', (t) => {
    let joules = 0;
    const isClosed = { value: false };
    const power: PowerSource = {
      reader: 'a test',
      source: 'a test',
      isEstimate: false,
      read: () => ({ joules, celsius: null }),
      close: () => (isClosed.value = true),
    };
    const { observer, clock } = watch(t, power);
    observer.start();
    joules = 100;
    observer.onEvent(JOINED);
    joules = 110;
    clock.advance(100);
    observer.onEvent({ ...JOINED, rank: 1, workerId: 'worker-1' });
    joules = 130;
    clock.advance(1000);
    observer.onEvent(stepOf(1));
    observer.onEvent(stepOf(2));
    observer.finish(true);

    assert.equal(observer.power?.profile()?.joules, 20);
    assert.ok(isClosed.value);
  });

  test('looks at memory when the last step is done, however short the run', (t) => {
    const { observer } = watch(t);
    observer.start();
    observer.onEvent(stepOf(2));

    assert.ok(observer.memory.use().peakBytes > 0);
  });
});
