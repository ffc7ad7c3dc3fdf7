/** The log of a local worker: what it says goes there, and its last words are read from it. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

const TAIL_BYTES = 8 << 10;
const MAX_WORDS = 400;

/** A log that is open for one process. */
export interface OpenLog {
  readonly path: string;
  readonly descriptor: number;
  /** Where what it says begins: those before it have said the rest. */
  readonly start: number;
}

/** Opens a log at its end; undefined when it cannot be written: that stops nobody from computing. */
export function openLog(path: string): OpenLog | undefined {
  try {
    const descriptor = openSync(path, 'a');
    return { path, descriptor, start: fstatSync(descriptor).size };
  } catch {
    return undefined;
  }
}

/** The last error that stands in a log from byte `start` on, if there is one. */
export function lastError({ path, start }: Pick<OpenLog, 'path' | 'start'>): string | undefined {
  const errors = tailOf(path, start).matchAll(/^(?:\w*Error|error)(?: \[\w+\])?: (.+)$/gm);
  return [...errors].at(-1)?.[1]?.slice(0, MAX_WORDS);
}

function tailOf(path: string, start: number): string {
  try {
    const descriptor = openSync(path, 'r');
    try {
      const from = Math.max(start, fstatSync(descriptor).size - TAIL_BYTES);
      const bytes = Buffer.alloc(TAIL_BYTES);
      return bytes.toString('utf8', 0, readSync(descriptor, bytes, 0, TAIL_BYTES, from));
    } finally {
      closeSync(descriptor);
    }
  } catch {
    // Somebody took it away: then it says nothing.
    return '';
  }
}
