import { ShortageError } from '../base/errors.ts';
import { shortageOf } from '../base/shortage.ts';

const PAGE_BYTES = 65_536;

/**
 * Memory of WebAssembly of fixed size, at least `byteLength` bytes. `what` says in messages whose.
 *
 * Throws: ShortageError when the machine does not give it.
 */
export function reserveMemory(
  byteLength: number,
  { shared, what }: { readonly shared: boolean; readonly what: string },
): WebAssembly.Memory {
  const pages = Math.ceil(byteLength / PAGE_BYTES);
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages, shared });
  } catch (error) {
    const mebibytes = Math.ceil(byteLength / 2 ** 20);
    throw new ShortageError(
      `${what}: reserving ${mebibytes} MiB failed: ${shortageOf(error) ?? String(error)}`,
      { mebibytes, shared },
      { cause: error },
    );
  }
}
