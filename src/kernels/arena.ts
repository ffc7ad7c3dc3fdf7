/**
 * An arena is one WebAssembly.Memory of fixed size, cut into named regions. ONNX Runtime reads
 * parameters from views of it and writes gradients into them, and the kernels work on the same
 * bytes: nothing is copied.
 */
import { ConfigError, invariant } from '../base/errors.ts';
import type { Block, TensorSlot } from './layout.ts';
import { reserveMemory } from './reserve-memory.ts';

const ALIGNMENT_BYTES = 64;
const PAGE_BYTES = 65_536;
const MAX_PAGES = 65_536;

/**
 * A region to allocate; `byteLength` for float32 or int32 of a layout is 4 * layout.paddedLength.
 */
export interface RegionRequest {
  readonly name: string;
  readonly byteLength: number;
}

/** The memory of an arena. */
export interface ArenaOptions {
  /** Whether several threads will use the memory; default false. */
  readonly shared?: boolean;
  /** A memory made from the same requests by another thread, not a new one; `shared` must agree. */
  readonly memory?: WebAssembly.Memory;
}

interface Region {
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** A part of a region, in elements: a tensor of a layout, or a block. */
export type RegionPart = Pick<TensorSlot | Block, 'offset' | 'length'>;

/**
 * Named regions in one memory, each 64-byte aligned and zero at first. The memory never grows, so
 * views stay valid as long as the arena. Offset 0 belongs to no region.
 *
 * Throws: ConfigError when the regions exceed 4 GiB; OUT_OF_RESOURCES when the system refuses the
 *         memory.
 */
export class Arena {
  readonly memory: WebAssembly.Memory;
  readonly shared: boolean;
  readonly #regions = new Map<string, Region>();

  constructor(requests: readonly RegionRequest[], options: ArenaOptions = {}) {
    this.shared = options.shared ?? false;
    let end = ALIGNMENT_BYTES;
    for (const { name, byteLength } of requests) {
      invariant(!this.#regions.has(name), `arena: region ${name} is requested twice`);
      this.#regions.set(name, { byteOffset: end, byteLength });
      end += Math.ceil(byteLength / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
    }
    this.memory = options.memory ?? memoryFor(end, this.shared);
    invariant(
      this.memory.buffer.byteLength >= end,
      'arena: the given memory is too small for the regions',
    );
  }

  /** Whether `name` was requested. */
  has(name: string): boolean {
    return this.#regions.has(name);
  }

  /**
   * Where a region, or element `element` (4 bytes each)
   * of it, starts in the memory: the pointer for kernels.
   */
  byteOffset(name: string, element = 0): number {
    return this.#region(name).byteOffset + 4 * element;
  }

  byteLength(name: string): number {
    return this.#region(name).byteLength;
  }

  /** A live view of a region as float32, or of one part of it. */
  float32(name: string, part?: RegionPart): Float32Array {
    const { byteOffset, byteLength } = this.#region(name);
    const view = new Float32Array(this.memory.buffer, byteOffset, byteLength / 4);
    return part === undefined ? view : view.subarray(part.offset, part.offset + part.length);
  }

  /** A live view of a region as int32, or of one part of it. */
  int32(name: string, part?: RegionPart): Int32Array {
    const { byteOffset, byteLength } = this.#region(name);
    const view = new Int32Array(this.memory.buffer, byteOffset, byteLength / 4);
    return part === undefined ? view : view.subarray(part.offset, part.offset + part.length);
  }

  /** A live view of a region as bytes; a part counts bytes. */
  uint8(name: string, part?: RegionPart): Uint8Array {
    const { byteOffset, byteLength } = this.#region(name);
    const view = new Uint8Array(this.memory.buffer, byteOffset, byteLength);
    return part === undefined ? view : view.subarray(part.offset, part.offset + part.length);
  }

  #region(name: string): Region {
    const region = this.#regions.get(name);
    invariant(
      region !== undefined,
      `arena: no region ${name}; there are ${[...this.#regions.keys()].join(', ')}`,
    );
    return region;
  }
}

function memoryFor(byteLength: number, shared: boolean): WebAssembly.Memory {
  const pages = Math.ceil(byteLength / PAGE_BYTES);
  const mebibytes = Math.ceil(byteLength / 2 ** 20);
  if (pages > MAX_PAGES) {
    throw new ConfigError(
      'arena: expected at most 4096 MiB of parameters, gradients and optimizer state per ' +
        `thread, got ${mebibytes} MiB.` +
        ' Choose a smaller model or batch.',
    );
  }
  return reserveMemory(byteLength, { shared, what: 'arena' });
}
