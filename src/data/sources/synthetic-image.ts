import { createClassImagePainter } from './class-images.ts';
import { normalisationOfBytes } from '../dataset.ts';
import type { Dataset, DatasetSplits } from '../dataset.ts';
import { makeDataset } from '../dataset-digest.ts';
import { sharedBytes, sharedInt32 } from '../shared-memory.ts';

/** How many images are made, how large, and from which randomness. */
export interface SyntheticImageOptions {
  readonly seed: number;
  readonly sampleCount: number;
  readonly testSampleCount: number;
  readonly classes: number;
  readonly channels: number;
  /** Height and width in pixels. */
  readonly size: number;
}

/**
 * Images whose label can be seen in them (`class-images.ts`), as bytes. Sample i is the same
 * whatever the counts.
 */
export function makeSyntheticImages(options: SyntheticImageOptions): DatasetSplits {
  const { seed, classes, channels, size } = options;
  const paint = createClassImagePainter(options);
  const pixels = channels * size * size;
  const makeSplit = (split: 0 | 1, sampleCount: number): Dataset => {
    const x = sharedBytes(sampleCount * pixels, NAME);
    const y = sharedInt32(sampleCount, NAME);
    for (let i = 0; i < sampleCount; i++) y[i] = paint(split, i, x, i * pixels);
    return makeDataset({
      name: NAME,
      sampleCount,
      features: [channels, size, size],
      target: { kind: 'classification', classes },
      x,
      y,
      normalisation: normalisationOfBytes(0.5, 0.25),
    });
  };
  return {
    name: NAME,
    origin: `computed from seed ${seed}`,
    train: makeSplit(0, options.sampleCount),
    test: makeSplit(1, options.testSampleCount),
  };
}

const NAME = 'synthetic_image';
