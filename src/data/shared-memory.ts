/**
 * Memory of data sets: shared between the threads of a process, bounded, and with a clear word when
 * there is none.
 */
import { DataError, ShortageError } from '../base/errors.ts';
import { availableMemory } from './available-memory.ts';

/**
 * Largest array of features or targets of one split, and largest file that is read whole: 2 GiB.
 */
export const MAX_ARRAY_BYTES: number = 2 ** 31;

/** What systems say of free memory is too rough to refuse less than this. */
const ALWAYS_TRIED_BYTES = 2 ** 28;

/** Gives `length` zero bytes. Throws DataError that says for `what` when that is too much. */
export function sharedBytes(length: number, what: string): Uint8Array<SharedArrayBuffer> {
  return new Uint8Array(allocate(length, what));
}

/** `length` zeros, float32. Throws as `sharedBytes`. */
export function sharedFloat32(length: number, what: string): Float32Array<SharedArrayBuffer> {
  return new Float32Array(allocate(4 * length, what));
}

/** `length` zeros, int32. Throws as `sharedBytes`. */
export function sharedInt32(length: number, what: string): Int32Array<SharedArrayBuffer> {
  return new Int32Array(allocate(4 * length, what));
}

/** Throws DataError when the samples of `what` would take more bytes than one split may. */
export function checkArrayBytes(byteLength: number, what: string): void {
  if (byteLength <= MAX_ARRAY_BYTES) return;
  throw new DataError(
    `${what}: expected at most ${MAX_ARRAY_BYTES} bytes, the samples of one split take ` +
      `${byteLength}. ` +
      'All samples are held in memory: use fewer or smaller ones, or store images as bytes.',
    { byteLength, limit: MAX_ARRAY_BYTES },
  );
}

function allocate(byteLength: number, what: string): SharedArrayBuffer {
  checkArrayBytes(byteLength, what);
  checkFree(byteLength, what);
  try {
    return new SharedArrayBuffer(byteLength);
  } catch (error) {
    throw new ShortageError(
      `${what}: there is no memory for ${byteLength} bytes of samples. Every worker holds the ` +
        'whole data set: use fewer workers on this machine, or fewer samples.',
      { byteLength },
      { cause: error },
    );
  }
}

/** Linux grants more than there is, and ends a process that uses it. */
function checkFree(byteLength: number, what: string): void {
  if (byteLength < ALWAYS_TRIED_BYTES) return;
  const free = availableMemory();
  if (byteLength <= free) return;
  throw new ShortageError(
    `${what}: expected at most the ${free} bytes of memory that are free, the samples of one split ` +
      `take ${byteLength}. Every worker holds the whole data set: use fewer workers on this ` +
      'machine, or fewer samples.',
    { byteLength, free },
  );
}
