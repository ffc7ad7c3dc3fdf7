import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import type { FileHashes } from '../checkpoint/checkpoint-store.ts';
import { dataStartOf } from '../checkpoint/safetensors.ts';

const READ_BYTES = 1 << 20;

/** Reads files and gives the digests of each, and of what those that hold tensors hold together. */
export function hashFiles(paths: readonly string[]): FileHashes {
  const state = createHash('sha256');
  let weightsDigest = '';
  const files = paths.map((path, i) => {
    const whole = createHash('sha256');
    let offset = 0;
    let start = Infinity;
    for (const piece of piecesOf(path)) {
      if (offset === 0) start = dataStartOf(piece) ?? Infinity;
      whole.update(piece);
      if (offset + piece.length > start) state.update(piece.subarray(Math.max(0, start - offset)));
      offset += piece.length;
    }
    if (i === 0) weightsDigest = state.copy().digest('hex');
    return whole.digest('hex');
  });
  return { files, weightsDigest, stateDigest: state.digest('hex') };
}

/** The same memory each time. */
function* piecesOf(path: string): Generator<Uint8Array> {
  const buffer = Buffer.alloc(READ_BYTES);
  const descriptor = openSync(path, 'r');
  try {
    for (;;) {
      const length = readSync(descriptor, buffer, 0, READ_BYTES, null);
      if (length === 0) return;
      yield buffer.subarray(0, length);
    }
  } finally {
    closeSync(descriptor);
  }
}
