/** Looks at the way to a checkpoint before a run goes on from there. */
import { join } from 'node:path';
import { LockstepError } from '../base/errors.ts';
import { listCheckpoints, verifyCheckpoint } from '../checkpoint/read-checkpoints.ts';
import { CHECKPOINTS_NAME } from '../runs/found-run.ts';
import { checkpointsOf, type ResumePoint } from '../runs/resume-point.ts';
import { refuseHeld } from '../runs/run-lock.ts';
import { placeOf } from './comparison.ts';
import { type ReplayCrew, replayRun } from './replay-run.ts';

/**
 * Computes the steps before a checkpoint again, from the one before it, and compares them and the
 * state that they come to with what the run has recorded. Resolves with whether it came to the end:
 * not if it was interrupted. Nothing of the run is changed.
 *
 * Throws: CHECKPOINT_INVALID, naming the first step that differs; ConfigError when somebody writes
 *         into the run; and what a replay throws.
 */
export async function verifyResumed(point: ResumePoint, crew: ReplayCrew): Promise<boolean> {
  const { outDir, name, checkpoint, manifest } = point;
  const folder = join(outDir, name);
  refuseHeld(folder);
  const { step: to } = manifest;
  if (manifest.parent?.step === to) {
    crew.onNote(`there are no steps of ${name} before step ${to}: verify ${manifest.parent.run}`);
    return true;
  }
  const before = await wholeBefore(folder, to);
  const verdict = await replayRun({ ...crew, folder, from: before, to });
  const { from, difference, counts, isInterrupted } = verdict;
  if (isInterrupted) return false;
  const where = `verifying ${join(folder, CHECKPOINTS_NAME, checkpoint)}`;
  if (difference !== undefined)
    throw new LockstepError(
      'CHECKPOINT_INVALID',
      [
        `${where}: computed again from step ${from}, the run comes to something else than is ` +
          `recorded, first at ${placeOf(difference)}. Its record, its data or the program are ` +
          'others than they were. Nothing was changed; without --verify it goes on all the same.',
        `  recorded  ${difference.recorded ?? 'nothing'}`,
        `  computed  ${difference.computed}`,
      ],
      { step: difference.step, what: difference.what },
    );
  if (counts.state === 0)
    throw new LockstepError(
      'FILE_FAILED',
      `${where}: the state that was computed again could not be written down. Is there room for ` +
        'temporary files?',
      { folder },
    );
  crew.onNote(
    `steps ${from + 1} to ${to} were computed again, and are as recorded, the state too: bit for ` +
      'bit',
  );
  return true;
}

/** The step of the newest whole checkpoint before `step`; 0, the beginning, if there is none. */
async function wholeBefore(folder: string, step: number): Promise<number> {
  const store = checkpointsOf(folder);
  for (const one of await listCheckpoints(store)) {
    if (one.step >= step) continue;
    try {
      return (await verifyCheckpoint(store, one.name)).step;
    } catch (error) {
      if (!(error instanceof LockstepError)) throw error;
    }
  }
  return 0;
}
