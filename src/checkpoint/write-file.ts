/** Writes one file of a checkpoint, whatever part of it a call takes. */
import type { CheckpointStore } from './checkpoint-store.ts';

/** Buffers that one call gets. */
const MAX_PARTS = 512;

/** Writes a new file; it survives a power cut once its folder is synced, too. */
export async function writeFile(
  store: CheckpointStore,
  path: string,
  parts: readonly Uint8Array[],
): Promise<void> {
  const file = await store.create(path);
  try {
    let left = parts.filter(({ length }) => length > 0);
    while (left.length > 0) {
      const taken = await file.write(left.slice(0, MAX_PARTS));
      left = withoutFirst(left, taken);
    }
    await file.sync();
  } finally {
    await file.close();
  }
}

/** What is left of `parts` without their first `count` bytes. */
function withoutFirst(parts: readonly Uint8Array[], count: number): Uint8Array[] {
  let [first, offset] = [0, count];
  for (let part = parts[first]; part !== undefined && offset >= part.length; part = parts[first]) {
    offset -= part.length;
    first++;
  }
  const [partly, ...rest] = parts.slice(first);
  return partly === undefined ? [] : [partly.subarray(offset), ...rest];
}
