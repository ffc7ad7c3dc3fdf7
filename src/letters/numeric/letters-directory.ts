/**
 * The directory of the seed system: `train_letters*.txt`, one file per task, and
 * `validate_letters.txt`.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { DataError, messageOf } from '../../base/errors.ts';
import { type LettersRows, type LettersTextOptions, parseLettersText } from './letters-text.ts';

/** Name of the file whose error is reported after every round. */
export const VALIDATION_FILE = 'validate_letters.txt';
const TRAINING_FILE = /^train_letters(.*)\.txt$/;
/** Files are read whole, and travel whole. */
const MAX_FILE_BYTES: number = 64 << 20;
const MAX_FILES = 10_000;

/** A file as it is and as it is meant. */
export interface LettersFile {
  readonly name: string;
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
 * file.
 *
 * Throws: DataError when the directory or a file is missing, too large, or not in the format of
 *         letters-text.ts.
 */
export async function readLettersDirectory(
  directory: string,
  classes: number,
): Promise<LettersDirectory> {
  const names = (await listDirectory(directory))
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
  for (const name of names) {
    const features = train[0]?.rows.features;
    train.push(await readLettersFile(join(directory, name), options(name, classes, features)));
  }
  const path = join(directory, VALIDATION_FILE);
  const validate = await readLettersFile(
    path,
    options(VALIDATION_FILE, classes, train[0]?.rows.features),
  );
  return { train, validate };
}

/** Reads one file. Throws: DataError as above. */
export async function readLettersFile(path: string, how: LettersTextOptions): Promise<LettersFile> {
  const bytes = await readBounded(path);
  const rows = parseLettersText(bytes.toString('latin1'), how);
  return { name: how.name, bytes, digest: sha256Of(bytes), rows };
}

/** SHA-256 in hex. */
export function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function options(name: string, classes: number, features: number | undefined): LettersTextOptions {
  return { name, classes, ...(features === undefined ? {} : { features }) };
}

async function listDirectory(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    throw new DataError(
      `${directory}: expected a directory with train_letters*.txt and ${VALIDATION_FILE}: ` +
        reasonOf(error),
      { directory },
      { cause: error },
    );
  }
}

async function readBounded(path: string): Promise<Buffer> {
  try {
    const { size } = await stat(path);
    if (size > MAX_FILE_BYTES)
      throw new DataError(
        `${path}: expected a file of at most ${MAX_FILE_BYTES} bytes, got ${size}`,
      );
    return await readFile(path);
  } catch (error) {
    if (error instanceof DataError) throw error;
    throw new DataError(`reading ${path}: ${reasonOf(error)}`, { path }, { cause: error });
  }
}

function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOENT') return 'it is not there';
  if (code === 'ENOTDIR') return 'it is not a directory';
  return messageOf(error);
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
