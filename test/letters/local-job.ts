/**
 * A job of the letters system without processes, on the letters that come with it.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
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
export function run(
  spec: Partial<JobSpec>,
  pick: (count: number) => number = () => 0,
): readonly number[] {
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
