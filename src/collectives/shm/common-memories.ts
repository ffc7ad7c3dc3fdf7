/** How ranks of one machine come to have memory in common: one makes it, the others find it. */
import { closeSync } from 'node:fs';
import { reserveMemory } from '../../kernels/reserve-memory.ts';
import type { LocalOffer } from '../../transport/frame.ts';
import { createFile, type OfferedFile, openOffered } from '../../transport/offered-file.ts';
import { loadMapper, type Mapper } from './mapped-memory.ts';

/** What one rank can do about memory that others have, too. Reasons are parts of sentences. */
export interface CommonMemories {
  /** Makes memory of so many bytes, and an offer of it; or says why that cannot be done. */
  make(byteLength: number): FoundMemory | string;
  /** Finds what another rank has made; or says why it is not found. */
  find(offer: LocalOffer, byteLength: number): FoundMemory | string;
  /** All have found it, or never will. */
  withdraw(): void;
  /** Nobody in this process looks at the memory any more. */
  release(memory: WebAssembly.Memory): void;
}

/** Memory, and what other ranks find it by. */
export interface FoundMemory {
  readonly memory: WebAssembly.Memory;
  readonly offer: LocalOffer;
}

/** Files in memory that are mapped into that of WebAssembly. */
export class MappedFiles implements CommonMemories {
  readonly #mapper: Mapper;
  /** Who made it holds it until all have opened it. */
  #file: OfferedFile | undefined;

  /** Throws: RuntimeError, in one sentence, where the C library cannot be called. */
  constructor(mapper: Mapper = loadMapper()) {
    this.#mapper = mapper;
  }

  make(byteLength: number): FoundMemory | string {
    this.#file = createFile();
    if (this.#file === undefined) return 'there is no file system in memory here';
    const { descriptor, offer } = this.#file;
    if (!this.#mapper.reserve(descriptor, byteLength))
      return `the file system in memory has no room for ${byteLength} bytes`;
    return this.#map(descriptor, offer, byteLength);
  }

  find(offer: LocalOffer, byteLength: number): FoundMemory | string {
    const descriptor = openOffered(offer, { maxBytes: byteLength, isWritable: true });
    if (descriptor === undefined) return 'rank 0 is not on this machine, or another user';
    try {
      return this.#map(descriptor, offer, byteLength);
    } finally {
      closeSync(descriptor);
    }
  }

  withdraw(): void {
    if (this.#file !== undefined) closeSync(this.#file.descriptor);
    this.#file = undefined;
  }

  release(memory: WebAssembly.Memory): void {
    this.#mapper.unmap(memory);
  }

  #map(descriptor: number, offer: LocalOffer, byteLength: number): FoundMemory | string {
    // Lanes add up in it, too.
    const memory = reserveMemory(byteLength, { shared: true, what: 'sums of gradients' });
    if (!this.#mapper.map(memory, descriptor)) return 'the file cannot be mapped';
    return { memory, offer };
  }
}
