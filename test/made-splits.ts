/** Small data sets of every kind, and one whose features are several pieces long. */
import type { Dataset, DatasetTarget } from '../src/data/dataset.ts';
import { AS_STORED } from '../src/data/dataset.ts';
import { makeDataset } from '../src/data/dataset-digest.ts';
import type { AskForPiece } from '../src/data/parcels/piece.ts';
import type { DataStock } from '../src/data/parcels/stock.ts';
import { sharedBytes, sharedFloat32, sharedInt32 } from '../src/data/shared-memory.ts';

/** Samples of bytes, mostly zeros as in pictures, with labels 0 to 9. */
export function pictures(sampleCount: number, pixels: number, seed = 1): Dataset {
  const x = sharedBytes(sampleCount * pixels, 'pictures');
  for (let i = 0; i < x.length; i += 5) x[i] = (seed * i * 31) % 251;
  const y = sharedInt32(sampleCount, 'labels');
  for (let i = 0; i < sampleCount; i++) y[i] = (i * seed) % 10;
  return makeDataset({
    name: 'pictures',
    sampleCount,
    features: [1, 1, pixels],
    target: { kind: 'classification', classes: 10 },
    x,
    y,
    normalisation: { scale: [Math.fround(1 / 255)], shift: [Math.fround(-0.1)] },
    augmentation: { cropPadding: 1, flips: true },
  });
}

/** Token ids, with a target of any kind. */
export function tokens(target: DatasetTarget, targetCount: number, isNumber: boolean): Dataset {
  const x = sharedInt32(4 * 3, 'tokens');
  x.forEach((_, i) => (x[i] = i % 7));
  const y = isNumber ? sharedFloat32(4 * targetCount, 'y') : sharedInt32(4 * targetCount, 'y');
  y.forEach((_, i) => (y[i] = i % 2));
  return makeDataset({
    ...{ name: 'tokens', sampleCount: 4, features: [3], target, vocabulary: 7, x, y },
    normalisation: AS_STORED,
  });
}

/** Asks a stock, and tells of every piece that was asked for. */
export function askingOf(
  stock: DataStock,
  onAsked: (name: string) => void = () => {},
): AskForPiece {
  return async (request) =>
    new Promise((resolve, reject) => {
      onAsked(`${request.part} ${request.offset}`);
      if (!stock.read(request, resolve)) reject(new Error('not there'));
    });
}
