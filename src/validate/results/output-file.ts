/** Files that a command of the suite writes because its user named them. */
import { closeSync, openSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { ConfigError, LockstepError, messageOf } from '../../base/errors.ts';
import { writeWhole } from '../../runs/run-file.ts';
import { makeFolders } from '../../runs/run-files.ts';
import { placeText, reasonOf, Shelter, sheltersFor } from '../../runs/shelter.ts';

/**
 * Makes sure, before work begins, that a file can be written at `path`; its folder need not exist
 * yet.
 *
 * Effect: none that stays: it makes what would be made, and takes it away again. `flag` is what the
 *         user gave the path with.
 * Throws: ConfigError.
 */
export function checkWritable(flag: string, path: string): void {
  const refuse = (reason: string): never => {
    throw new ConfigError(`${flag} ${path}: ${reason}. Choose another path.`);
  };
  if (path === '') refuse('expected a path');
  try {
    const found = statSync(path, { throwIfNoEntry: false });
    if (found?.isDirectory() === true) refuse('expected a file, and this is a folder');
    // The file is not written to, another takes its place: not something to do to a device.
    if (found?.isFile() === false) refuse('expected a file, and this is a device or a pipe');
    tryToWrite(path);
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    refuse(`cannot be written (${messageOf(error)})`);
  }
}

function tryToWrite(path: string): void {
  const made = makeFolders(dirname(resolve(path)));
  try {
    const trial = `${path}.${process.pid}.trial`;
    closeSync(openSync(trial, 'wx'));
    rmSync(trial);
  } finally {
    for (const folder of made.toReversed()) rmdirSync(folder);
  }
}

/** Writes `content` at `path` whole or not at all, making its folder. Throws FILE_FAILED. */
export function writeOutput(path: string, content: string | Uint8Array): void {
  try {
    makeFolders(dirname(resolve(path)));
  } catch (error) {
    throw new LockstepError(
      'FILE_FAILED',
      `making the folder of ${path}: ${messageOf(error)}`,
      { path, reason: messageOf(error) },
      { cause: error },
    );
  }
  writeWhole(path, [typeof content === 'string' ? Buffer.from(content) : content]);
}

/** Where a file is that was worth more than its place. */
export interface SavedOutput {
  readonly path: string;
  /** Why it is not where it was to be; undefined when it is. */
  readonly problem: string | undefined;
}

/**
 * Writes what took long to measure: at `path`, or where there is room. Throws FILE_FAILED when
 * there is none anywhere.
 */
export function saveOutput(path: string, content: string): SavedOutput {
  try {
    writeOutput(path, content);
    return { path, problem: undefined };
  } catch (error) {
    if (!(error instanceof LockstepError)) throw error;
    const name = basename(path);
    const shelter = new Shelter(name, sheltersFor(dirname(path)));
    const folder = shelter.first((place) => writeOutput(join(place, name), content));
    const problem = `${path}: ${reasonOf(error)}; it is in ${placeText(folder)}`;
    return { path: join(folder, name), problem };
  }
}
