/** Reading files that somebody else names: only files, only so large, only from one folder. */
import { constants } from 'node:fs';
import { type FileHandle, open, realpath, stat } from 'node:fs/promises';
import { isAbsolute, relative, resolve } from 'node:path';
import { DataError } from '../../base/errors.ts';

/** Longer ones are no paths. */
export const MAX_PATH_LENGTH = 4096;

/** Where a path leads on this machine. Throws: DataError when it may not be followed. */
export type Locate = (path: string) => Promise<string>;

/** Follows every path: for those that the user of this machine gives. */
export const anywhere: Locate = (path) => Promise.resolve(path);

/**
 * Follows paths that stay inside `folder`, also after all links; a relative one begins there.
 * What lies outside is not even looked at, so that nobody learns what is there.
 */
export function within(folder: string): Locate {
  return async (path) => {
    if (path.length > MAX_PATH_LENGTH || path.includes('\0'))
      throw new DataError(`expected a path of at most ${MAX_PATH_LENGTH} characters`);
    const asNamed = resolve(folder, path);
    const root = await real(folder, 'the data folder');
    if (!isInside(folder, asNamed) && !isInside(root, asNamed)) throw outside(path);
    const target = await real(asNamed, path);
    if (!isInside(root, target)) throw outside(path);
    return target;
  };
}

/**
 * Reads a file of at most `mostBytes`.
 *
 * Throws: DataError naming it `name`, with what kind of thing is wrong: it is missing, no file (a
 *         folder, a pipe, a device), or too large.
 */
export async function readBoundedFile(
  path: string,
  mostBytes: number,
  name: string = path,
): Promise<Buffer> {
  // Looked at before it is opened: opening a device may already do something.
  const stats = await stat(path).catch((error: unknown) => fail(name, error));
  if (!stats.isFile()) throw noFile(name);
  const flags = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);
  const file = await open(path, flags).catch((error: unknown) => fail(name, error));
  try {
    return await readWhole(file, mostBytes, name);
  } finally {
    await file.close();
  }
}

async function readWhole(file: FileHandle, mostBytes: number, name: string): Promise<Buffer> {
  const stats = await file.stat();
  if (!stats.isFile()) throw noFile(name);
  if (stats.size > mostBytes)
    throw new DataError(`reading ${name}: expected a file of at most ${mostBytes} bytes`);
  const bytes = Buffer.alloc(stats.size + 1);
  let length = 0;
  for (let count = -1; count !== 0 && length < bytes.length; length += count)
    count = (await file.read(bytes, length, bytes.length - length)).bytesRead;
  if (length !== stats.size)
    throw new DataError(`reading ${name}: its size changed while it was read`);
  return bytes.subarray(0, length);
}

/** An error of the system in words that say nothing of this machine but its kind. */
export function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
  const words: Readonly<Record<string, string>> = {
    ENOENT: 'it is not there',
    ENOTDIR: 'it is not a directory',
    EACCES: 'it may not be read',
    EPERM: 'it may not be read',
    ELOOP: 'it is a link without end',
    ENAMETOOLONG: 'its name is too long',
  };
  return words[code] ?? `the system says ${code}`;
}

async function real(path: string, name: string): Promise<string> {
  return realpath(path).catch((error: unknown) => fail(name, error));
}

function fail(name: string, error: unknown): never {
  throw new DataError(`reading ${name}: ${reasonOf(error)}`, {}, { cause: error });
}

function noFile(name: string): DataError {
  return new DataError(`reading ${name}: expected a file, and this is none`);
}

function outside(path: string): DataError {
  return new DataError(
    `${path}: expected a path inside the data folder of this node. --data-dir names another ` +
      'folder when it is started.',
  );
}

function isInside(root: string, path: string): boolean {
  const way = relative(resolve(root), path);
  return way !== '..' && !way.startsWith('../') && !way.startsWith('..\\') && !isAbsolute(way);
}
