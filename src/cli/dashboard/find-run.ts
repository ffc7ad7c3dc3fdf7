/** Which run, or which folder of runs, somebody means by a path or a name. */
import { statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { ConfigError } from '../../base/errors.ts';

/** Where runs are if nobody says otherwise. */
export const DEFAULT_FOLDER = 'experiments';

/** A folder of runs, and the name of the one that is meant; undefined: all of them. */
export interface FoundRun {
  readonly folder: string;
  readonly run: string | undefined;
}

/** Finds what a path names. Throws: ConfigError when that is neither a run nor a folder. */
export function findRun(path: string | undefined): FoundRun {
  const folder = resolve(path ?? DEFAULT_FOLDER);
  if (isThere(join(folder, 'metrics.jsonl')))
    return { folder: dirname(folder), run: basename(folder) };
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() === true)
    return { folder, run: undefined };
  // A run may be called by its name alone.
  const named = join(resolve(DEFAULT_FOLDER), path ?? '');
  if (path !== undefined && isThere(join(named, 'metrics.jsonl')))
    return { folder: dirname(named), run: basename(named) };
  throw new ConfigError(
    path === undefined
      ? `there is no folder ${DEFAULT_FOLDER} here. Train a model first, or name a folder of runs.`
      : `${path}: expected the folder of a run, or a folder of runs; there is no such folder.`,
  );
}

function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}
