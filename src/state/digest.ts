import { createHash, type Hash } from 'node:crypto';

const PIECE_BYTES = 1 << 30;

/** SHA-256 (hex) of the weights alone, and of weights and optimizer state. */
export interface StateDigests {
  readonly weightsDigest: string;
  readonly stateDigest: string;
}

/** Hashes a state in canonical order, of which the first `weightCount` elements are the weights. */
export function digestsOf(state: Uint8Array, weightCount: number): StateDigests {
  const hash = createHash('sha256');
  update(hash, state.subarray(0, 4 * weightCount));
  const weightsDigest = hash.copy().digest('hex');
  update(hash, state.subarray(4 * weightCount));
  return { weightsDigest, stateDigest: hash.digest('hex') };
}

/** No more than 2 GiB are taken at once. */
function update(hash: Hash, bytes: Uint8Array): void {
  for (let offset = 0; offset < bytes.length; offset += PIECE_BYTES)
    hash.update(bytes.subarray(offset, offset + PIECE_BYTES));
}
