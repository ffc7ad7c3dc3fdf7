/**
 * Files mapped into the memory of WebAssembly, where kernels work on them as on anything else.
 *
 * The mapping lies over pages of a memory that never grows, so it lives as long as that: whoever
 * still holds a view sees zeros after `unmap`, and never a hole. `map` looks whether the file shows.
 */
import { fstatSync, readSync } from 'node:fs';
import { createRequire } from 'node:module';
import type * as Koffi from 'koffi';
import { messageOf, RuntimeError } from '../../base/errors.ts';
import { OFFER_BYTES } from '../../transport/offered-file.ts';

const READ_AND_WRITE = 3;
const SHARED = 0x01;
const PRIVATE = 0x02;
const FIXED = 0x10;
const ANONYMOUS = 0x20;

/** What the C library does for us. */
export interface Mapper {
  /** Gives a file its length and its pages; false when the memory file system has no room. */
  reserve(descriptor: number, byteLength: number): boolean;
  /** Puts a file of the length of `memory` in its place; false when that cannot be done. */
  map(memory: WebAssembly.Memory, descriptor: number): boolean;
  /** Lets go of the file; the memory is zeros. */
  unmap(memory: WebAssembly.Memory): void;
}

/** Throws: RuntimeError, in one sentence, where the C library cannot be called. */
export function loadMapper(): Mapper {
  const koffi = loadKoffi();
  const library = koffi.load(null);
  const mmap = library.func('mmap', 'intptr_t', [
    'uintptr_t',
    'size_t',
    'int',
    'int',
    'int',
    'int64_t',
  ]) as (...numbers: readonly (number | bigint)[]) => number | bigint;
  const allocate = library.func('posix_fallocate', 'int', ['int', 'int64_t', 'int64_t']) as (
    ...numbers: readonly number[]
  ) => number;
  const mapOver = ({ buffer }: WebAssembly.Memory, flags: number, descriptor: number): boolean => {
    // Of memory that threads share only views are taken.
    const address = koffi.address(new Uint8Array(buffer));
    const isAt = mmap(address, buffer.byteLength, READ_AND_WRITE, FIXED | flags, descriptor, 0);
    return BigInt(isAt) === address;
  };
  return {
    reserve: (descriptor, byteLength) => allocate(descriptor, 0, byteLength) === 0,
    map: (memory, descriptor) =>
      fstatSync(descriptor).size === memory.buffer.byteLength &&
      mapOver(memory, SHARED, descriptor) &&
      isSeen(memory, descriptor),
    unmap: (memory) => void mapOver(memory, PRIVATE | ANONYMOUS, -1),
  };
}

function loadKoffi(): typeof Koffi {
  try {
    return createRequire(import.meta.url)('koffi') as typeof Koffi;
  } catch (error) {
    throw new RuntimeError(
      `memory shared between processes: the package koffi cannot be loaded: ${messageOf(error)}`,
    );
  }
}

/** Whether the memory begins as the file does. */
function isSeen({ buffer }: WebAssembly.Memory, descriptor: number): boolean {
  const found = Buffer.alloc(OFFER_BYTES);
  readSync(descriptor, found, 0, OFFER_BYTES, 0);
  return found.equals(new Uint8Array(buffer, 0, OFFER_BYTES));
}
