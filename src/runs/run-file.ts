/** Files that are written while a run goes on, with errors that say what to do. */
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  ftruncateSync,
  openSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { LockstepError, messageOf } from '../base/errors.ts';

/** One write call takes no more. */
const MAX_WRITE_BYTES = 1 << 30;

/**
 * Text that grows at the end of a file: each piece is in it whole or not at all. Writing throws
 * FILE_FAILED.
 */
export class GrowingFile {
  readonly #path: string;
  readonly #descriptor: number;
  /** Of what was written whole. */
  #byteLength: number;

  /**
   * Begins an empty file, or with `a` goes on where there is one. Throws what the file system says.
   */
  constructor(path: string, flag: 'w' | 'a') {
    this.#path = path;
    const empty = flag === 'w' ? constants.O_TRUNC : 0;
    this.#descriptor = openSync(
      path,
      constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | empty,
    );
    this.#byteLength = fstatSync(this.#descriptor).size;
  }

  write(text: string): void {
    const bytes = Buffer.from(text);
    try {
      writeAll(this.#descriptor, bytes);
      this.#byteLength += bytes.length;
    } catch (error) {
      // Half a line helps nobody, and what it takes may be room for the last words. A device has no
      // length.
      if (fstatSync(this.#descriptor).isFile()) ftruncateSync(this.#descriptor, this.#byteLength);
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
    if (existsSync(`${path}.partial`)) rmSync(`${path}.partial`);
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
      ? 'the disk is full. Free some space, or choose a folder on another disk, and start again.'
      : `${messageOf(error)}. Start again with another folder.`;
  return new LockstepError(
    'FILE_FAILED',
    `writing ${path}: ${remedy}`,
    { path, code },
    { cause: error },
  );
}
