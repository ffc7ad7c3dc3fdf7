/** Files that are written while a run goes on, with errors that say what to do. */
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { LockstepError, messageOf } from '../base/errors.ts';

/** One write call takes no more. */
const MAX_WRITE_BYTES = 1 << 30;
/**
 * A process that is killed is stopped between two pages of what it writes, never within one; pages
 * are at least as large as this.
 */
const PAGE_BYTES = 4096;
/** What is copied at a time. */
const COPY_BYTES = 1 << 20;

/**
 * Lines that grow at the end of a file: what is written at once is in it whole or not at all.
 *
 * Whoever is killed while writing leaves whole lines: none is in two pages of the file. One that
 * would be begins on the next page, after spaces; only a line that is longer than a page may lose
 * its end. Writing throws FILE_FAILED.
 */
export class GrowingFile {
  #path: string;
  #descriptor: number;
  /** Of what was written whole. */
  #byteLength: number;

  /**
   * Begins an empty file, or with `a` goes on where there is one. Throws what the file system says.
   */
  constructor(path: string, flag: 'w' | 'a') {
    this.#path = path;
    this.#descriptor = openGrowing(path, flag);
    this.#byteLength = fstatSync(this.#descriptor).size;
  }

  write(text: string): void {
    try {
      let end = this.#byteLength;
      for (const piece of withinPages(Buffer.from(text), end)) {
        writeAll(this.#descriptor, piece);
        end += piece.length;
      }
      this.#byteLength = end;
    } catch (error) {
      // Half a line helps nobody, and what it takes may be room for the last words. A device has no
      // length.
      if (fstatSync(this.#descriptor).isFile()) ftruncateSync(this.#descriptor, this.#byteLength);
      throw fileError(this.#path, error);
    }
  }

  /** Whether the file is where it was made: nobody has moved or deleted it. */
  get isInPlace(): boolean {
    try {
      const [found, own] = [statSync(this.#path), fstatSync(this.#descriptor)];
      // Some network file systems number a file anew whenever they are asked.
      return found.isFile() && (found.ino === own.ino || found.size === this.#byteLength);
    } catch {
      // Whatever the reason, it cannot be found by its path.
      return false;
    }
  }

  /**
   * Puts a copy of everything that was written at `path`, and goes on there: what was deleted can
   * still be read as long as it is open. Throws FILE_FAILED, and then goes on where it was.
   */
  moveTo(path: string): void {
    const partial = `${path}.moving`;
    let copy: number | undefined;
    try {
      copy = openGrowing(partial, 'w');
      copyAll(this.#descriptor, copy, this.#byteLength);
      renameSync(partial, path);
    } catch (error) {
      if (copy !== undefined) closeSync(copy);
      rmSync(partial, { force: true });
      throw fileError(path, error);
    }
    closeSync(this.#descriptor);
    [this.#path, this.#descriptor] = [path, copy];
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

function openGrowing(path: string, flag: 'w' | 'a'): number {
  const empty = flag === 'w' ? constants.O_TRUNC : 0;
  return openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_APPEND | empty);
}

/** Lines, to be written from `offset` on, in pieces that are each within one page. */
function* withinPages(bytes: Buffer, offset: number): Generator<Uint8Array> {
  let start = 0;
  let end = 0;
  while (end < bytes.length) {
    const line = bytes.indexOf('\n', end);
    const next = line === -1 ? bytes.length : line + 1;
    const room = PAGE_BYTES - ((offset + end - start) % PAGE_BYTES);
    if (next - end > room) {
      const isLong = next - end > PAGE_BYTES;
      const piece = bytes.subarray(start, end);
      const spaces = isLong ? 0 : room % PAGE_BYTES;
      if (piece.length + spaces > 0) yield Buffer.concat([piece, Buffer.alloc(spaces, ' ')]);
      offset += piece.length + spaces;
      start = end;
    }
    end = next;
  }
  if (start < end) yield bytes.subarray(start, end);
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

function copyAll(from: number, to: number, byteLength: number): void {
  const buffer = Buffer.alloc(Math.min(COPY_BYTES, byteLength));
  for (let offset = 0; offset < byteLength;) {
    const length = readSync(from, buffer, 0, Math.min(COPY_BYTES, byteLength - offset), offset);
    if (length === 0) return;
    writeAll(to, buffer.subarray(0, length));
    offset += length;
  }
}

/** A FILE_FAILED whose context has the bare `reason`, for whoever goes on without the file. */
export function fileError(path: string, error: unknown): LockstepError {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const isFull = code === 'ENOSPC' || code === 'EDQUOT';
  const reason = isFull ? 'the disk is full' : messageOf(error);
  const remedy = isFull
    ? 'Free some space, or choose a folder on another disk.'
    : 'Choose another folder.';
  return new LockstepError(
    'FILE_FAILED',
    `writing ${path}: ${reason}. ${remedy}`,
    { path, code, reason },
    { cause: error },
  );
}
