import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { ManualClock } from '../base/clock.ts';
import type { FileFailed, RunEvent, StepCommitted } from '../metrics/events.ts';
import type { ModelFile } from './model-files.ts';
import { RunFiles } from './run-files.ts';
import type { RunSummary } from './run-summary.ts';

const MODEL_FILES: readonly ModelFile[] = ['model.onnx', 'model.safetensors'].map((name) => ({
  name,
  encode: () => [Uint8Array.of(1, 2), Uint8Array.of(3)],
}));
const STARTED: RunEvent = {
  kind: 'run-started',
  runId: 'run',
  steps: 2,
  stepsPerEpoch: 2,
  parameterCount: 1,
  microBatch: 1,
  globalBatch: 1,
};
// What matters here of a summary: how the files extend it.
const SUMMARY = { status: 'finished', name: 'run', folder: '' } as unknown as RunSummary;

function stepOf(step: number): StepCommitted {
  const times = { computeMs: 8, communicateMs: 2, waitMs: 0 };
  const ranks = [{ rank: 0, samples: 32, microBatches: 8, ...times }];
  const sizes = { epoch: 0, sampleCount: 32, lossMean: 1, learningRate: 0.01 };
  return { kind: 'step', step, ...sizes, stepMs: 10, ...times, otherMs: 0, ranks };
}

interface Recorded {
  readonly files: RunFiles;
  readonly clock: ManualClock;
  readonly asked: string;
  readonly shelter: string;
  readonly told: FileFailed[];
}

/** A run that has begun and has made a step. */
function begin(t: TestContext): Recorded {
  const top = mkdtempSync(join(tmpdir(), 'lockstep-run-files-'));
  t.after(() => rmSync(top, { recursive: true, force: true }));
  const [outDir, shelter] = [join(top, 'out'), join(top, 'shelter')];
  mkdirSync(shelter);
  const clock = new ManualClock();
  const files = new RunFiles(outDir, 'run', { clock, shelters: [join(top, 'none'), shelter] });
  const told: FileFailed[] = [];
  files.reportTo((event) => told.push(event));
  files.writeStepModel(Uint8Array.of(1));
  for (const event of [STARTED, stepOf(1)]) files.onEvent(event);
  clock.advance(501);
  files.onEvent(stepOf(2));
  return { files, clock, asked: files.folder, shelter, told };
}

function stepsIn(folder: string): number[] {
  const text = readFileSync(join(folder, 'metrics.jsonl'), 'utf8');
  const events = text.split('\n').filter(Boolean);
  return events.flatMap((line) => {
    const event = JSON.parse(line) as RunEvent;
    return event.kind === 'step' ? [event.step] : [];
  });
}

function iterationsIn(folder: string): number[] {
  const text = readFileSync(join(folder, 'logs/rank_0_metrics.json'), 'utf8');
  return (JSON.parse(text) as { iteration: number }[]).map(({ iteration }) => iteration);
}

describe('RunFiles', () => {
  test('says nothing when all is well, and leaves no timer', (t) => {
    const { files, clock, asked, shelter, told } = begin(t);
    clock.advance(10_000);
    files.writeModel(MODEL_FILES);
    const summary = files.finish(SUMMARY);

    assert.deepEqual(told, []);
    assert.deepEqual(summary, { ...SUMMARY, folder: asked });
    assert.equal(clock.pendingCount(), 0);
    assert.deepEqual(readdirSync(shelter), []);
    assert.deepEqual(
      readdirSync(asked).filter((name) => name.includes('partial')),
      [],
    );
    assert.deepEqual(
      [stepsIn(asked), iterationsIn(asked)],
      [
        [1, 2],
        [1, 2],
      ],
    );
  });

  test('has no file of a rank before it is whole', (t) => {
    const { files, asked } = begin(t);

    assert.ok(!existsSync(join(asked, 'logs/rank_0_metrics.json')));
    files.finish(SUMMARY);
    assert.deepEqual(iterationsIn(asked), [1, 2]);
  });
});

describe('the folder of a run that is deleted', () => {
  test('is told of within a second, and is there again with what it held', (t) => {
    const { files, clock, asked, told } = begin(t);
    rmSync(asked, { recursive: true });
    clock.advance(1000);

    assert.equal(told.length, 1);
    assert.equal(told[0]!.file, asked);
    assert.match(told[0]!.consequence, /^it was made again/);
    files.onEvent(stepOf(3));
    files.writeModel(MODEL_FILES);
    const summary = files.finish(SUMMARY);
    assert.equal(summary.folder, asked);
    assert.equal(summary.fileFailures?.length, 1);
    assert.deepEqual(JSON.parse(readFileSync(join(asked, 'summary.json'), 'utf8')), summary);
    assert.deepEqual(
      [stepsIn(asked), iterationsIn(asked)],
      [
        [1, 2, 3],
        [1, 2, 3],
      ],
    );
    for (const name of ['step.onnx', 'model.onnx', 'model.safetensors'])
      assert.ok(existsSync(join(asked, name)), name);
    assert.equal(told.length, 1, 'once');
  });

  test('moves to where there is room when a file is in its place', (t) => {
    const { files, clock, asked, shelter, told } = begin(t);
    rmSync(asked, { recursive: true });
    writeFileSync(asked, 'in the way');
    clock.advance(5000);
    files.writeModel(MODEL_FILES);
    const summary = files.finish(SUMMARY);

    const [name] = readdirSync(shelter);
    const home = join(shelter, name!);
    assert.equal(told.length, 1);
    assert.equal(told[0]!.consequence, `the run goes on in ${home}`);
    assert.equal(summary.folder, home);
    assert.deepEqual(
      [stepsIn(home), iterationsIn(home)],
      [
        [1, 2],
        [1, 2],
      ],
    );
    assert.ok(existsSync(join(home, 'model.onnx')));
    assert.equal(readFileSync(asked, 'utf8'), 'in the way');
  });

  test('does not end the run, nor talk all the time, when there is no room anywhere', (t) => {
    const { files, clock, asked, shelter, told } = begin(t);
    for (const folder of [asked, shelter]) {
      rmSync(folder, { recursive: true });
      writeFileSync(folder, 'in the way');
    }
    clock.advance(5000);

    assert.deepEqual(
      told.map(({ consequence }) => consequence),
      ['nothing is recorded any more'],
    );
    rmSync(asked);
    clock.advance(1000);
    assert.match(told[1]!.consequence, /^it was made again/);
    files.finish(SUMMARY);
    assert.deepEqual(stepsIn(asked), [1, 2]);
  });
});

/** Nothing can be written to a file of this name, as on a full disk. */
function fill(folder: string, name: string): void {
  symlinkSync('/dev/full', join(folder, `${name}.partial`));
}

describe('a model for which there is no room', () => {
  test('is put elsewhere with all that it needs, and told where', (t) => {
    const { files, asked, shelter, told } = begin(t);
    fill(asked, 'model.onnx');
    files.writeModel(MODEL_FILES);
    const summary = files.finish(SUMMARY);

    const folder = join(shelter, readdirSync(shelter)[0]!);
    assert.deepEqual(told, [
      {
        kind: 'file-failed',
        file: 'model.onnx',
        reason: 'the disk is full',
        consequence: `it is in ${folder}`,
      },
    ]);
    assert.deepEqual([summary.folder, summary.modelFolder], [asked, folder]);
    assert.deepEqual(readdirSync(folder).sort(), ['model.onnx', 'step.onnx', 'summary.json']);
    assert.deepEqual(JSON.parse(readFileSync(join(folder, 'summary.json'), 'utf8')), summary);
    assert.ok(existsSync(join(asked, 'model.safetensors')), 'what fits is where it should be');
  });

  test('has failed only when no file of it is anywhere', (t) => {
    const { files, asked, shelter, told } = begin(t);
    rmSync(shelter, { recursive: true });
    fill(asked, 'model.onnx');
    files.writeModel(MODEL_FILES);
    assert.deepEqual(
      told.map(({ file, consequence }) => `${file}: ${consequence}`),
      ['model.onnx: it is missing'],
    );
    fill(asked, 'model.onnx');
    fill(asked, 'model.safetensors');

    assert.throws(() => files.writeModel(MODEL_FILES), {
      code: 'FILE_FAILED',
      message: /^writing .*model\.onnx: the disk is full\. .* Elsewhere: .*none: ENOENT/,
    });
    files.finish(SUMMARY);
  });

  test('leaves a summary that says that it could not be written itself', (t) => {
    const { files, asked } = begin(t);
    fill(asked, 'summary.json');

    const { fileFailures } = files.finish(SUMMARY);

    assert.deepEqual(
      fileFailures?.map(({ file }) => file),
      ['summary.json'],
    );
  });
});
