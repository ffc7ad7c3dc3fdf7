import { ConfigError, DataError } from '../base/errors.ts';
import { permutation, RandomWords } from '../base/random.ts';
import { featureCountOf, targetCountOf } from './dataset.ts';
import type { Dataset, DatasetSplits } from './dataset.ts';
import { makeDataset } from './dataset-digest.ts';

/**
 * Moves a random `fraction` of the training samples to `validation`; the rest stays in `train`,
 * both in their original order. The seed alone decides which samples move: the same on every host.
 *
 * `fraction` lies between 0 and 1, exclusive; the count is rounded to the nearest sample (0.1 of
 * 60,000 is 6,000).
 * Throws: ConfigError when one of the two would be empty.
 */
export function withValidationSplit(
  splits: DatasetSplits,
  fraction: number,
  seed: number,
): DatasetSplits {
  const { train } = splits;
  const validationCount = Math.round(train.sampleCount * fraction);
  if (!(validationCount >= 1 && validationCount < train.sampleCount))
    throw new ConfigError(
      `validation_split ${fraction} of ${train.sampleCount} samples leaves ${validationCount} ` +
        'for validation; both parts need at least one.',
      [
        {
          path: 'validation_split',
          expected: 'a fraction between 0 and 1 that leaves both parts non-empty',
          got: String(fraction),
        },
      ],
    );
  const order = permutation(train.sampleCount, new RandomWords(seed, 'split'));
  const trainCount = train.sampleCount - validationCount;
  return {
    ...splits,
    train: selectSamples(train, order.slice(0, trainCount).sort()),
    validation: selectSamples(train, order.slice(trainCount).sort()),
  };
}

/** Part of the samples that is kept for the test when a data set does not say which. */
const TEST_PART = 0.1;

/**
 * A data set that has no test part, divided: a random tenth (at least one sample) becomes the test,
 * both in their original order. Which samples is a function of the seed: the same on every host.
 *
 * Throws: DataError when there are fewer than two samples.
 */
export function withTestSplit(whole: Dataset, origin: string, seed: number): DatasetSplits {
  const { name, sampleCount } = whole;
  if (sampleCount < 2)
    throw new DataError(
      `${name}: expected at least 2 samples, one to train and one to test, found ${sampleCount}`,
    );
  const order = permutation(sampleCount, new RandomWords(seed, 'split', 1));
  const testCount = Math.max(1, Math.round(sampleCount * TEST_PART));
  const trainCount = sampleCount - testCount;
  return {
    name,
    origin,
    train: selectSamples(whole, order.slice(0, trainCount).sort()),
    test: selectSamples(whole, order.slice(trainCount).sort()),
  };
}

/** `count` of the samples, chosen by the seed, in their original order; all if there are no more. */
export function someSamplesOf(dataset: Dataset, count: number, seed: number): Dataset {
  if (count >= dataset.sampleCount) return dataset;
  const order = permutation(dataset.sampleCount, new RandomWords(seed, 'split', 2));
  return selectSamples(dataset, order.slice(0, count).sort());
}

/** A copy of the samples at `indices`, in that order. */
function selectSamples(dataset: Dataset, indices: Uint32Array): Dataset {
  return makeDataset({
    ...dataset,
    sampleCount: indices.length,
    x: selectRows(dataset.x, indices, featureCountOf(dataset)),
    y: selectRows(dataset.y, indices, targetCountOf(dataset)),
  });
}

function selectRows<Rows extends Dataset['x'] | Dataset['y']>(
  rows: Rows,
  indices: Uint32Array,
  width: number,
): Rows {
  const selected = emptyLike(rows, indices.length * width);
  indices.forEach((index, row) =>
    selected.set(rows.subarray(index * width, (index + 1) * width), row * width),
  );
  return selected;
}

function emptyLike<Rows extends Dataset['x'] | Dataset['y']>(rows: Rows, length: number): Rows {
  const storage = new SharedArrayBuffer(length * rows.BYTES_PER_ELEMENT);
  const make = rows.constructor as new (buffer: SharedArrayBuffer) => Rows;
  return new make(storage);
}
