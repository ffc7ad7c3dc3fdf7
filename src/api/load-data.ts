/** The samples of a run, as its model takes them. */
import type { Dataset, DatasetTarget } from '../data/dataset.ts';
import { featureCountOf } from '../data/dataset.ts';
import { asInFile, fileShapeOf } from '../data/sample-form.ts';
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
   * Gives samples `start` to `end` - 1 as a model takes them, [end - start, ...features]: as the
   * files of the data hold them, neither scaled nor augmented. All samples by default.
   */
  readonly inputs: (start?: number, end?: number) => Uint8Array | Float32Array | Int32Array;
}

/** A data set as runs use it. */
export interface TrainingData {
  readonly name: string;
  /** Where the samples came from, in words. */
  readonly origin: string;
  /** Shape of one sample in the files of the data. */
  readonly features: readonly number[];
  readonly target: DatasetTarget;
  /** Names of the classes, or the characters of the tokens, where they have any. */
  readonly classNames: readonly string[] | undefined;
  readonly train: Samples;
  readonly test: Samples;
  /** Set apart with the setting `validationSplit`. */
  readonly validation: Samples | undefined;
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
    features: fileShapeOf(train),
    target: train.target,
    classNames: train.classNames,
    train: samplesOf(train),
    test: samplesOf(test),
    validation: validation && samplesOf(validation),
  };
}

function samplesOf(dataset: Dataset): Samples {
  const { sampleCount, x, y } = dataset;
  const size = featureCountOf(dataset);
  return {
    count: sampleCount,
    targets: y,
    inputs: (start = 0, end = sampleCount) =>
      asInFile(x.subarray(start * size, end * size), dataset),
  };
}
