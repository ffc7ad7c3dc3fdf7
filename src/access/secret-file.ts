/** Small files, mostly JSON, that only their owner may read. */
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import type * as z from 'zod';
import { LockstepError, messageOf } from '../base/errors.ts';

const MAX_BYTES = 16 << 10;
const OWNER_ONLY = { mode: 0o600 };

/**
 * Writes a file whole, in place of the one before. With `isNew` it must not be there yet: false if
 * it is. Throws: FILE_FAILED.
 */
export function writeSecretFile(path: string, content: object, isNew = false): boolean {
  return writeSecretText(path, JSON.stringify(content, null, 2), isNew);
}

/** The same with a text, which gets a line end. */
export function writeSecretText(path: string, line: string, isNew = false): boolean {
  const text = `${line}\n`;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    if (isNew) {
      writeFileSync(path, text, { ...OWNER_ONLY, flag: 'wx' });
      return true;
    }
    const temporary = `${path}.${randomBytes(4).toString('hex')}.partial`;
    try {
      writeFileSync(temporary, text, OWNER_ONLY);
      chmodSync(temporary, 0o600);
      renameSync(temporary, path);
    } finally {
      rmSync(temporary, { force: true });
    }
    return true;
  } catch (error) {
    if (isNew && (error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw new LockstepError('FILE_FAILED', `${path}: cannot be written: ${messageOf(error)}`);
  }
}

/** Reads a file; undefined if there is none. Throws: FILE_FAILED when it is of no use. */
export function readSecretFile<T>(path: string, schema: z.ZodType<T>): T | undefined {
  const text = readSecretText(path);
  if (text === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    throw unreadable(path, 'it is damaged, or of another version of Lockstep. Delete it.');
  }
}

/** The same as text. */
export function readSecretText(path: string): string | undefined {
  try {
    if (statSync(path).size > MAX_BYTES) throw unreadable(path, 'it is too long');
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof LockstepError) throw error;
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw unreadable(path, messageOf(error));
  }
}

function unreadable(path: string, reason: string): LockstepError {
  return new LockstepError('FILE_FAILED', `${path}: cannot be read: ${reason}`);
}
