/**
 * The part of the WebAssembly JavaScript interface that we use. Every runtime has it, but neither
 * the ES library nor Node's types declare it, and the browser library would bring `document` along.
 */
declare namespace WebAssembly {
  interface MemoryDescriptor {
    /** Pages of 64 KiB. */
    readonly initial: number;
    readonly maximum?: number;
    /** Needs `maximum`. */
    readonly shared?: boolean;
  }

  class Memory {
    constructor(descriptor: MemoryDescriptor);
    readonly buffer: ArrayBufferLike;
    /** Adds pages of 64 KiB; `buffer` is another one afterwards. */
    grow(pages: number): number;
  }

  type Module = object;
  const Module: new (bytes: ArrayBuffer | ArrayBufferView) => Module;

  class Instance {
    constructor(
      module: Module,
      imports?: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
    );
    readonly exports: Readonly<Record<string, unknown>>;
  }

  class RuntimeError extends Error {}

  function validate(bytes: ArrayBuffer | ArrayBufferView): boolean;
}
