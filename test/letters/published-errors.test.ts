/**
 * The errors that the seed system has published, and those that the default mode promises; without
 * processes.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  type LettersDirectory,
  readLettersDirectory,
} from '../../src/letters/numeric/letters-directory.ts';
import { writeLettersDirectory } from '../../src/letters/numeric/packed-letters.ts';
import { scaleRows } from '../../src/letters/numeric/scaling.ts';
import { trainOnFile } from '../../src/letters/numeric/train-file.ts';
import { RunningJob } from '../../src/letters/running-job.ts';
import { type JobSpec, LETTER_CLASSES, SEED_DEFAULTS } from '../../src/letters/job-spec.ts';

let folder = '';
let data: LettersDirectory;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'letters-'));
  await writeLettersDirectory(folder);
  data = await readLettersDirectory(folder, LETTER_CLASSES);
});
after(() => rm(folder, { recursive: true }));

/** The validation errors of a job whose tasks are done in the order that `pick` chooses them. */
function run(spec: Partial<JobSpec>, pick: (count: number) => number = () => 0): readonly number[] {
  let id = 0;
  const job = new RunningJob(
    {
      ...SEED_DEFAULTS,
      directory: folder,
      rounds: 5,
      epochs: 15,
      hidden: 20,
      classes: LETTER_CLASSES,
      eta: 0.0001,
      ...spec,
    },
    data,
    () => id++,
  );
  while (!job.isOver) {
    const tasks = [];
    for (let task = job.takePending(); task !== undefined; task = job.takePending())
      tasks.push(task);
    while (tasks.length > 0) {
      const task = tasks.splice(pick(tasks.length), 1)[0]!;
      const rows = data.train[task.file]!.rows;
      const result = trainOnFile(
        task.scaling === null ? rows : scaleRows(rows, task.scaling),
        task,
      )!;
      job.count(task, { kind: 'done', ...result, computeMs: 0, injectedMs: 0 });
    }
    job.endRoundIfComplete();
  }
  return job.outcome().done.errors;
}

describe('mode seed', () => {
  test('gives 0.8054285714 with 5 rounds, 15 epochs, h 20, in whatever order tasks are done', () => {
    const errors = run({}, (count) => ((count * 7) % 3) % count);

    assert.deepEqual(
      errors.map((error) => error.toFixed(10)),
      ['0.9574285714', '0.9277142857', '0.7954285714', '0.7720000000', '0.8054285714'],
    );
  });

  test('gives 0.6517, 0.4529, 0.37 with 3 rounds, 75 epochs, h 24', () => {
    const errors = run({ rounds: 3, epochs: 75, hidden: 24 });

    assert.deepEqual(
      errors.map((error) => error.toFixed(4)),
      ['0.6517', '0.4529', '0.3700'],
    );
    assert.equal(errors.at(-1), 0.37);
  });

  test("gives 0.324 with 25 rounds, 15 epochs, h 20, and numpy's error in every round", async () => {
    const fixture = new URL('../fixtures/letters-reference.json', import.meta.url);
    const { runs } = JSON.parse(await readFile(fixture, 'utf8')) as {
      runs: { rounds: number; errors: number[] }[];
    };

    const errors = run({ rounds: 25 });

    assert.equal(errors.at(-1), 0.324);
    assert.deepEqual(errors, runs.find(({ rounds }) => rounds === 25)?.errors);
  });
});

describe('mode default', () => {
  test('gives at most 0.255 with 15 rounds, 50 epochs, h 24 and the eta of the seed system', () => {
    const error = run({ mode: 'default', seed: 42, rounds: 15, epochs: 50, hidden: 24 }).at(-1)!;

    assert.ok(error <= 0.255, `${error}`);
  });

  test('gives at most 0.15 with h 24 and mini-batch Adam', () => {
    const adam = { mode: 'default', optimizer: 'adam', seed: 42, batch: 16, eta: 0.01 } as const;

    const error = run({ ...adam, rounds: 5, epochs: 10, hidden: 24 }).at(-1)!;

    assert.ok(error <= 0.15, `${error}`);
  });

  test('gives at most 0.08 with h 128 and mini-batch Adam', () => {
    const adam = { mode: 'default', optimizer: 'adam', seed: 42, batch: 16, eta: 0.006 } as const;

    const error = run({ ...adam, rounds: 6, epochs: 8, hidden: 128 }).at(-1)!;

    assert.ok(error <= 0.08, `${error}`);
  });
});
