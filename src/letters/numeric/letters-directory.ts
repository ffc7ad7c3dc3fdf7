/**
 * The directory of the seed system: `train_letters*.txt`, one file per task, and
 * `validate_letters.txt`.
 */
import { createHash } from 'node:crypto';
import { opendir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { DataError } from '../../base/errors.ts';
import { anywhere, type Locate, readBoundedFile, reasonOf } from './bounded-file.ts';
import { type LettersRows, type LettersTextOptions, parseLettersText } from './letters-text.ts';

/** Name of the file whose error is reported after every round. */
export const VALIDATION_FILE = 'validate_letters.txt';
const TRAINING_FILE = /^train_letters(.*)\.txt$/;
/** Files are read whole, and travel whole. */
export const MAX_FILE_BYTES: number = 64 << 20;
const MAX_FILES = 10_000;
/** All files of a directory, which are held in memory together. */
const MAX_DIRECTORY_BYTES: number = 256 << 20;
/** More names than these are not looked through. */
const MAX_NAMES = 100_000;

/** A file as it is and as it is meant. */
export interface LettersFile {
  readonly name: string;
  /** Where it lies: absolute. */
  readonly path: string;
  /** What is in the file, for those who need it sent. */
  readonly bytes: Uint8Array;
  /** SHA-256 of the bytes, in hex. */
  readonly digest: string;
  readonly rows: LettersRows;
}

/** All data of a job. */
export interface LettersDirectory {
  /** Sorted by the numbers in their names; their results are averaged in this order. */
  readonly train: readonly LettersFile[];
  readonly validate: LettersFile;
}

/**
 * Reads all files of a directory; every row has as many features as the first row of the first
 * file. `locate` says where paths lead.
 *
 * Throws: DataError when the directory or a file is missing, too large, or not in the format of
 *         letters-text.ts.
 */
export async function readLettersDirectory(
  directory: string,
  classes: number,
  locate: Locate = anywhere,
): Promise<LettersDirectory> {
  const names = (await listDirectory(directory, locate))
    .filter((name) => TRAINING_FILE.test(name))
    .sort(byNumber);
  if (names.length === 0 || names.length > MAX_FILES) {
    throw new DataError(
      `${directory}: expected 1 to ${MAX_FILES} training files named train_letters*.txt, ` +
        `found ${names.length}. ` +
        '`lockstep data letters <directory>` writes a directory to start with.',
    );
  }
  const train: LettersFile[] = [];
  let bytesLeft = MAX_DIRECTORY_BYTES;
  const read = async (name: string): Promise<LettersFile> => {
    const how = options(name, classes, train[0]?.rows.features);
    const file = await readLettersFile(join(directory, name), how, locate);
    bytesLeft -= file.bytes.length;
    if (bytesLeft < 0)
      throw new DataError(
        `${directory}: expected files of at most ${MAX_DIRECTORY_BYTES} bytes together`,
      );
    return file;
  };
  for (const name of names) train.push(await read(name));
  return { train, validate: await read(VALIDATION_FILE) };
}

/** Reads one file. Throws: DataError as above. */
export async function readLettersFile(
  path: string,
  how: LettersTextOptions,
  locate: Locate = anywhere,
): Promise<LettersFile> {
  const found = resolve(await locate(path));
  const bytes = await readBoundedFile(found, MAX_FILE_BYTES, path);
  const rows = parseLettersText(bytes.toString('latin1'), how);
  return { name: how.name, path: found, bytes, digest: sha256Of(bytes), rows };
}

/** SHA-256 in hex. */
export function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function options(name: string, classes: number, features: number | undefined): LettersTextOptions {
  return { name, classes, ...(features === undefined ? {} : { features }) };
}

async function listDirectory(directory: string, locate: Locate): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const { name } of await opendir(await locate(directory))) {
      if (names.length === MAX_NAMES)
        throw new DataError(`${directory}: expected at most ${MAX_NAMES} files`);
      names.push(name);
    }
    return names;
  } catch (error) {
    const cause = error instanceof DataError ? error.cause : error;
    if (cause === undefined) throw error;
    throw new DataError(
      `${directory}: expected a directory with train_letters*.txt and ${VALIDATION_FILE}: ` +
        reasonOf(cause),
      { directory },
      { cause },
    );
  }
}

/** train_letters2 before train_letters10, and what has no number last. */
function byNumber(a: string, b: string): number {
  const number = (name: string): number => {
    const text = TRAINING_FILE.exec(name)?.[1] ?? '';
    return /^\d+$/.test(text) ? Number(text) : Infinity;
  };
  const [left, right] = [number(a), number(b)];
  if (left !== right) return left < right ? -1 : 1;
  return a < b ? -1 : 1;
}
