/** Whether there is room for what a run will write, asked before it begins. */
import { statfsSync } from 'node:fs';
import { LockstepError, messageOf } from '../base/errors.ts';

/** For all that is small: records, logs, the summary. */
const MARGIN_BYTES = 4 << 20;

/** Bytes that `folder` has room for; undefined where the file system does not know. */
export function freeBytes(folder: string): number | undefined {
  const { bsize, blocks, bavail } = statfsSync(folder);
  return blocks === 0 ? undefined : bsize * bavail;
}

/**
 * Makes sure that `folder` has room for `neededBytes` of model files and for records beside them.
 *
 * Throws: FILE_FAILED with both figures.
 */
export function checkDiskSpace(
  folder: string,
  neededBytes: number,
  freeOf: (folder: string) => number | undefined = freeBytes,
): void {
  const needed = neededBytes + MARGIN_BYTES;
  const free = freeIn(folder, freeOf);
  if (free === undefined || needed <= free) return;
  throw new LockstepError(
    'FILE_FAILED',
    `the files of this run need ${megabytes(needed)} in ${folder}, and ${megabytes(free)} are ` +
      'free. Free some space, or choose an --out-dir on another disk.',
    { needed, free },
  );
}

function freeIn(
  folder: string,
  freeOf: (folder: string) => number | undefined,
): number | undefined {
  try {
    return freeOf(folder);
  } catch (error) {
    throw new LockstepError(
      'FILE_FAILED',
      `asking how much room there is in ${folder}: ${messageOf(error)}. Choose another --out-dir.`,
      { folder },
      { cause: error },
    );
  }
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
