/** How many samples make a micro-batch of a large model when nobody says. */
import type { ArchitectureSettings } from './architecture-settings.ts';

/** Operations, forward and backward, that a sample of `length` positions takes. */
export type WorkPerSample = (settings: Partial<ArchitectureSettings>, length: number) => number;

/** A core that computes 50 GFLOP/s is busy for five seconds. */
const MOST_WORK = 250e9;
const MOST_SAMPLES = 32;

/**
 * The largest power of two whose samples an ordinary core computes in about five seconds, 1 to 32:
 * short enough to be given to another worker when one is gone, long enough to compute at full speed.
 */
export function usualMicroBatch(workPerSample: number): number {
  let samples = MOST_SAMPLES;
  while (samples > 1 && samples * workPerSample > MOST_WORK) samples /= 2;
  return samples;
}

/**
 * That of a transformer's blocks: six operations per weight and position, four width^2 of weights in
 * the attention and twice width by feed-forward, and the products of all positions with each other.
 */
export const workOfBlocks: WorkPerSample = (
  { layers: [layers = 1] = [], width = 1, feedForward = 4 * width },
  length,
) => 6 * layers * length * (4 * width ** 2 + 2 * width * feedForward + 2 * width * length);
