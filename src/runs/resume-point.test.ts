import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, describe, test, type TestContext } from 'node:test';
import { LockstepError } from '../base/errors.ts';
import type { PlannedRun } from '../job/make-plan.ts';
import { historyOf, keeperOf, planWith, programOf, snapshotOf } from '../../test/kept-runs.ts';
import { foundThere } from './found-run.ts';
import { checkpointsOf, findResumePoint, snapshotAt } from './resume-point.ts';
import { RunLock } from './run-lock.ts';

let planned: PlannedRun;
let now: ReturnType<typeof programOf>;
before(async () => {
  planned = await planWith();
  now = programOf(planned);
});

/** The folder of a run that has written checkpoints of these steps. */
async function runWith(t: TestContext, steps: readonly number[]): Promise<string> {
  const outDir = mkdtempSync(join(tmpdir(), 'lockstep-resume-'));
  t.after(() => rmSync(outDir, { recursive: true }));
  const folder = join(outDir, 'run');
  mkdirSync(folder);
  const { keeper, failures } = keeperOf(planned, checkpointsOf(folder));
  for (const step of steps) await keeper.finish(snapshotOf(planned, step), historyOf(step));
  assert.deepEqual(failures, []);
  return folder;
}

describe('findResumePoint', () => {
  test('finds a run by name and by folder, a checkpoint, and the latest', async (t) => {
    const folder = await runWith(t, [10, 20]);
    const outDir = join(folder, '..');

    const ways = ['run', folder, join(folder, 'checkpoints/step_10'), 'latest'];
    const found = [];
    for (const what of ways) found.push((await findResumePoint(what, outDir)).checkpoint);

    assert.deepEqual(found, ['step_20', 'step_20', 'step_10', 'step_20']);
  });

  test('says what is there where there is no checkpoint', async (t) => {
    const folder = await runWith(t, []);
    const outDir = join(folder, '..');

    const refused: readonly (readonly [string, RegExp])[] = [
      [
        'run',
        /^--resume run: there is no checkpoint in \S+run\/checkpoints\. To begin a run, leave/,
      ],
      ['none', /^none: there is no run of this name in \S+, and no such folder$/],
      ['latest', /^--resume latest: no run in \S+ has a checkpoint that is whole$/],
    ];
    for (const [what, message] of refused)
      await assert.rejects(findResumePoint(what, outDir), { name: 'ConfigError', message });
  });

  test('says why nobody may look for checkpoints', async (t) => {
    const folder = await runWith(t, []);
    rmSync(join(folder, 'checkpoints'), { recursive: true, force: true });
    writeFileSync(join(folder, 'checkpoints'), 'in the way');

    await assert.rejects(findResumePoint(folder, ''), {
      code: 'CHECKPOINT_INVALID',
      message: /^looking for checkpoints: ENOTDIR: .*run\/checkpoints'$/,
    });
  });

  test('names what is damaged, and the newest one that is whole', async (t) => {
    const folder = await runWith(t, [10, 20, 30]);
    const names = (await checkpointsOf(folder).list('step_30')).toSorted();
    assert.deepEqual(names, [
      ...['manifest.json', 'optimizer.safetensors', 'plan.json', 'weights.safetensors'],
    ]);
    for (const name of names) {
      const path = join(folder, 'checkpoints/step_30', name);
      const whole = readFileSync(path);
      const harms = [
        (): void =>
          writeFileSync(
            path,
            whole.map((byte, i) => (i === 40 ? byte ^ 1 : byte)),
          ),
        (): void => truncateSync(path, whole.length - 1),
        (): void => truncateSync(path, 0),
        (): void => rmSync(path),
      ];
      for (const harm of harms) {
        harm();

        await assert.rejects(
          findResumePoint('run', join(folder, '..')),
          (error) =>
            error instanceof LockstepError &&
            error.code === 'CHECKPOINT_INVALID' &&
            error.message.includes(`step_30/${name}`) &&
            error.message.endsWith('An older one is whole: --resume ' + step20(folder)),
          `${name} ${harm.toString()}`,
        );

        writeFileSync(path, whole);
      }
    }
  });
});

function step20(folder: string): string {
  return join(folder, 'checkpoints/step_20');
}

/** A checkpoint has a state of its own. */
async function noDraw(): Promise<Uint8Array> {
  throw new Error('expected the state of the checkpoint');
}

describe('snapshotAt', () => {
  test('gives the state that was written, and where the run stood', async (t) => {
    const point = await findResumePoint(await runWith(t, [10]), '');

    const snapshot = await snapshotAt(point, planned.plan, now, noDraw);

    assert.deepEqual(snapshot, snapshotOf(planned, 10));
  });

  test('names what differs when another run would go on', async (t) => {
    const point = await findResumePoint(await runWith(t, [10]), '');

    const refusals: readonly (readonly [Record<string, string>, string])[] = [
      [{ seed: '8' }, 'seed: 42, and now 8'],
      [{ hidden: '32' }, 'parameters: '],
      [{ optimizer: 'sgd' }, 'optimizer: '],
      [{ globalBatch: '64' }, 'batches: '],
      [{ lr: '0.5' }, 'learning rate of step 1: 0.001, and now 0.5'],
    ];
    for (const [flags, expected] of refusals)
      await assert.rejects(
        snapshotAt(point, (await planWith(flags)).plan, now, noDraw),
        (error) => {
          assert.ok(error instanceof LockstepError && error.code === 'CHECKPOINT_INVALID');
          const differing = error.context['differing'] as readonly string[];
          return differing.some((line) => line.startsWith(expected));
        },
      );
    const newer = { ...now, software: '2.0.0' };
    await assert.rejects(
      snapshotAt(point, planned.plan, newer, noDraw),
      /What differs:\nversion of Lockstep: 1\.0\.0, and now 2\.0\.0$/,
    );
  });
});

describe('foundThere', () => {
  test('says what is in a folder, and how to go on with it', async (t) => {
    const folder = await runWith(t, [10, 20]);
    const alone = foundThere(folder);
    writeFileSync(join(folder, 'config.yaml'), '');
    const unfinished = foundThere(folder);
    writeFileSync(join(folder, 'summary.json'), '{"status":"finished"}');
    const finished = foundThere(folder);
    const lock = new RunLock(folder);
    t.after(() => lock.release());

    assert.match(alone, /run exists already\. Choose another --name\.$/);
    assert.match(
      unfinished,
      /: a run that is not finished; its newest checkpoint is of step 20\. To go on from there: `/,
    );
    assert.match(finished, /: a run that is finished, after 20 steps\. To train it longer: `/);
    assert.match(foundThere(folder), /: a run is under way there, in process \d+ on \S+\. Choose/);
  });
});
