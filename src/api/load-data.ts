/** The samples of a run, as its model takes them. */
import { ConfigError } from '../base/errors.ts';
import {
  type Dataset,
  type DatasetTarget,
  featureCountOf,
  type Normalisation,
} from '../data/dataset.ts';
import { dataPlaces, datasetSpecOf, loadRunData } from '../job/data-source.ts';
import { parseSettings, type TrainSettings } from './settings.ts';

/** Samples of one split, in the order of the data set. */
export interface Samples {
  readonly count: number;
  /**
   * What the samples are to be mapped to: [count] labels, [count, length] labels of a sequence,
   * [count, height, width] labels of pixels, or [count, outputs] numbers.
   */
  readonly targets: Int32Array | Float32Array;
  /**
   * Gives samples `start` to `end` - 1 as a model takes them, [end - start, ...features]: features
   * normalised, token ids as they are; never augmented. All samples by default.
   */
  readonly inputs: (start?: number, end?: number) => Float32Array | Int32Array;
}

/** A data set as runs use it. */
export interface TrainingData {
  readonly name: string;
  /** Where the samples came from, in words. */
  readonly origin: string;
  /** Shape of one sample. */
  readonly features: readonly number[];
  readonly target: DatasetTarget;
  /** Names of the classes, or the characters of the tokens, where they have any. */
  readonly classNames: readonly string[] | undefined;
  readonly train: Samples;
  readonly test: Samples;
  /** Set apart with the setting `validationSplit`. */
  readonly validation: Samples | undefined;
  /**
   * Brings samples of one's own, [count, ...features] as the data set stores them (e.g. pixels 0 to
   * 255), to what a model takes. Throws: ConfigError for another length.
   */
  readonly normalise: (stored: ArrayLike<number>) => Float32Array | Int32Array;
}

/**
 * Loads the data set of these settings: found, downloaded, computed or read as `train` would.
 *
 * Throws: ConfigError for settings that cannot be used; DataError for data that cannot be trusted.
 */
export async function loadData(
  settings: TrainSettings = {},
  options: { readonly files?: readonly string[] } = {},
): Promise<TrainingData> {
  const { config } = parseSettings(settings, options.files ?? []);
  const places = dataPlaces(config.dataDir, process.env);
  const { name, origin, train, test, validation } = (
    await loadRunData(datasetSpecOf(config), places)
  ).splits;
  return {
    name,
    origin,
    features: train.features,
    target: train.target,
    classNames: train.classNames,
    train: samplesOf(train),
    test: samplesOf(test),
    validation: validation && samplesOf(validation),
    normalise: (stored) => normalised(stored, train),
  };
}

function samplesOf(dataset: Dataset): Samples {
  const { sampleCount, x, y } = dataset;
  const size = featureCountOf(dataset);
  return {
    count: sampleCount,
    targets: y,
    inputs: (start = 0, end = sampleCount) =>
      normalised(x.subarray(start * size, end * size), dataset),
  };
}

function normalised(
  stored: ArrayLike<number>,
  dataset: Pick<Dataset, 'features' | 'normalisation' | 'vocabulary'>,
): Float32Array | Int32Array {
  const size = featureCountOf(dataset);
  if (stored.length % size !== 0)
    throw new ConfigError(
      `normalising samples: expected a multiple of ${size} numbers, the size of one sample, got ` +
        String(stored.length),
    );
  if (dataset.vocabulary !== undefined) return Int32Array.from(stored);
  return scaled(stored, size, dataset.normalisation);
}

/** `stored * scale + shift`, by channel, rounded to float32 after each operation as in training. */
function scaled(
  stored: ArrayLike<number>,
  size: number,
  { scale, shift }: Normalisation,
): Float32Array {
  const perChannel = size / scale.length;
  return Float32Array.from(stored, (value, i) => {
    const channel = Math.floor((i % size) / perChannel);
    return Math.fround(Math.fround(value) * (scale[channel] ?? 1)) + (shift[channel] ?? 0);
  });
}
