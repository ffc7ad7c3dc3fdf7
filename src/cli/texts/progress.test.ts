import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { describe, test } from 'node:test';
import type { StepCommitted } from '../../metrics/events.ts';
import { Progress } from './progress.ts';
import { paint, rate, Terminal } from '../shell/terminal.ts';

/** What a terminal of so many columns shows, write by write. */
function terminalOf(columns: number | undefined): { terminal: Terminal; writes: string[] } {
  const writes: string[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      writes.push(chunk.toString());
      done();
    },
  });
  const isTTY = columns !== undefined;
  Object.assign(stream, { columns, isTTY });
  return { terminal: new Terminal(stream as unknown as NodeJS.WriteStream, {}), writes };
}

function showSteps(
  columns: number | undefined,
  stepTimesMs: readonly number[],
  steps: number,
): string[] {
  const { terminal, writes } = terminalOf(columns);
  let nowMs = 0;
  const progress = new Progress(terminal, paint({ NO_COLOR: '1' }), () => nowMs);
  const run = {
    runId: 'r',
    stepsPerEpoch: steps,
    parameterCount: 10,
    microBatch: 32,
    globalBatch: 192,
  };
  progress.onEvent({ kind: 'run-started', steps, ...run });
  for (const [index, stepMs] of stepTimesMs.entries()) {
    nowMs += 10_000;
    const step = {
      kind: 'step',
      step: index + 1,
      epoch: 0,
      lossMean: 0.5,
      accuracy: 0.9,
      sampleCount: 192,
      stepMs,
    };
    progress.onEvent(step as unknown as StepCommitted);
  }
  return writes;
}

describe('Progress', () => {
  test('shows the mean speed of all steps so far, while there are few', () => {
    const writes = showSteps(undefined, [3_000, 1_000], 100);

    // 384 samples in four seconds; two seconds a step for 98 steps.
    assert.match(
      writes.at(-1) ?? '',
      /step 2\/100 {2}loss 0\.5000 {2}acc 90\.0 % {2}96 samples\/s {2}ETA 3 min 16 s/,
    );
  });

  for (const columns of [80, 90, 100, 200]) {
    test(`keeps the end of the line in sight on ${columns} columns`, () => {
      const line = showSteps(columns, [10, 10], 1565).at(-1) ?? '';

      assert.ok(line.length < columns, `${line.length}`);
      assert.match(line, /ETA \S+ s$/);
      assert.equal(line.includes('░'), columns > 80);
    });
  }
});

describe('Progress of what takes long', () => {
  test('says it again every eight seconds without a terminal, and as long as it lasts', (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] });
    const { terminal, writes } = terminalOf(undefined);
    let nowMs = 0;
    const progress = new Progress(terminal, paint({ NO_COLOR: '1' }), () => nowMs);
    const pass = (seconds: number): string[] => {
      for (let i = 0; i < seconds; i++) {
        nowMs += 1_000;
        t.mock.timers.tick(1_000);
      }
      return writes.splice(0);
    };
    progress.phase('compiling the model');
    assert.deepEqual(pass(7), []);
    assert.deepEqual(pass(9), [
      'compiling the model  (8.0 s)\n',
      'compiling the model  (16.0 s)\n',
    ]);
    const done = { kind: 'progress', activity: 'evaluating', step: 7, of: 2048 } as const;
    progress.onEvent({ ...done, done: 640, elapsedMs: 10_000 });
    assert.deepEqual(pass(8), ['evaluating 640 of 2,048 samples  ETA 39.6 s  (18.0 s)\n']);
    progress.onEvent({ kind: 'step', step: 8, stepMs: 1 } as unknown as StepCommitted);
    writes.splice(0);
    assert.deepEqual(pass(60), []);
    progress.phase('saving the model');
    assert.deepEqual(writes.splice(0), ['saving the model\n']);
    progress.close();
    assert.deepEqual(pass(60), []);
  });

  test('is a live line that moves every second on a terminal', (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] });
    const { terminal, writes } = terminalOf(80);
    let nowMs = 0;
    const progress = new Progress(terminal, paint({ NO_COLOR: '1' }), () => nowMs);
    progress.onEvent({
      kind: 'progress',
      activity: 'training',
      step: 0,
      done: 2,
      of: 16,
      elapsedMs: 1_500,
    });
    nowMs += 1_000;
    t.mock.timers.tick(1_000);
    progress.close();

    const lines = writes.filter((text) => text.startsWith('step'));
    assert.deepEqual(lines, [
      'step 1/0: micro-batch 3 of 16  (1.0 s)',
      'step 1/0: micro-batch 3 of 16  (2.0 s)',
    ]);
  });
});

describe('Progress of rounds', () => {
  test('counts rounds, and shows the loss of each as it is', () => {
    const { terminal, writes } = terminalOf(undefined);
    const progress = new Progress(terminal, paint({ NO_COLOR: '1' }), () => 10_000);
    const sizes = { stepsPerEpoch: 1, parameterCount: 10, microBatch: 32, globalBatch: 192 };
    const rounds = { shards: 4, localEpochs: 2, localSteps: 6 };
    const step = { kind: 'step', epoch: 1, sampleCount: 1536, stepMs: 1_000 };
    progress.onEvent({ kind: 'run-started', runId: 'r', steps: 2, ...sizes, rounds });
    progress.onEvent({ ...step, step: 1, lossMean: 4 } as unknown as StepCommitted);
    progress.onEvent({ ...step, step: 2, epoch: 3, lossMean: 1 } as unknown as StepCommitted);

    assert.match(
      writes[0] ?? '',
      /^10 parameters, 2 rounds of 4 shards, each 6 steps of 192 samples in micro-batches of 32\n/,
    );
    assert.match(writes.at(-1) ?? '', /^epoch 4\/4 {2}round 2\/2 {2}loss 1\.0000/);
  });
});

describe('rate', () => {
  test('shows slow speeds with a decimal', () => {
    assert.deepEqual([0.04, 0.61, 9.94, 9.96, 19_331.4].map(rate), [
      '0.0',
      '0.6',
      '9.9',
      '10',
      '19,331',
    ]);
  });
});
