import { createHash } from 'node:crypto';

/** SHA-256 (hex) of the weights alone, and of weights and optimizer state. */
export interface StateDigests {
  readonly weightsDigest: string;
  readonly stateDigest: string;
}

/** Hashes a state in canonical order, of which the first `weightCount` elements are the weights. */
export function digestsOf(state: Uint8Array, weightCount: number): StateDigests {
  const hash = createHash('sha256').update(state.subarray(0, 4 * weightCount));
  const weightsDigest = hash.copy().digest('hex');
  return { weightsDigest, stateDigest: hash.update(state.subarray(4 * weightCount)).digest('hex') };
}
