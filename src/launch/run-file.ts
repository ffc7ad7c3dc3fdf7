/** Files that are written while a run goes on, with errors that say what to do. */
import { closeSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { LockstepError, messageOf } from '../base/errors.ts';

/** One write call takes no more. */
const MAX_WRITE_BYTES = 1 << 30;

/** Text that grows at the end of a file. Writing throws FILE_FAILED. */
export class GrowingFile {
  readonly #path: string;
  readonly #descriptor: number;

  /** Begins an empty file, or with `a` goes on where there is one. Throws what the file system says. */
  constructor(path: string, flag: 'w' | 'a') {
    this.#path = path;
    this.#descriptor = openSync(path, flag);
  }

  write(text: string): void {
    try {
      writeAll(this.#descriptor, Buffer.from(text));
    } catch (error) {
      throw fileError(this.#path, error);
    }
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

/** Writes a file from its parts. A reader sees the whole file or none of it. Throws FILE_FAILED. */
export function writeWhole(path: string, parts: readonly Uint8Array[]): void {
  try {
    const descriptor = openSync(`${path}.partial`, 'w');
    try {
      for (const part of parts) writeAll(descriptor, part);
    } finally {
      closeSync(descriptor);
    }
    renameSync(`${path}.partial`, path);
  } catch (error) {
    // Room for what is left to be said.
    rmSync(`${path}.partial`, { force: true });
    throw fileError(path, error);
  }
}

function writeAll(descriptor: number, bytes: Uint8Array): void {
  let offset = 0;
  while (offset < bytes.length) {
    const length = Math.min(MAX_WRITE_BYTES, bytes.length - offset);
    offset += writeSync(descriptor, bytes, offset, length);
  }
}

function fileError(path: string, error: unknown): LockstepError {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const remedy =
    code === 'ENOSPC' || code === 'EDQUOT'
      ? 'the disk is full. Free some space, or choose another --out-dir, and start the run again.'
      : `${messageOf(error)}. Start the run again with another --out-dir.`;
  return new LockstepError('FILE_FAILED', `writing ${path}: ${remedy}`, { path, code }, { cause: error });
}
