import { stat } from 'node:fs/promises';
import { ConfigError } from '../../base/errors.ts';
import { suggestion } from '../../base/closest-name.ts';
import { loadCifar } from './cifar.ts';
import { CIFAR10, CIFAR100 } from './cifar-sets.ts';
import { AS_STORED } from '../dataset.ts';
import type { DataPlaces, Dataset, DatasetSplits } from '../dataset.ts';
import type { DatasetSettings } from '../dataset-settings.ts';
import type { WebAccess } from './download.ts';
import { FASHION_MNIST } from './fashion-mnist.ts';
import { loadIdxDataset } from './idx-dataset.ts';
import { makeLinearRegression } from './linear-regression.ts';
import { MNIST } from './mnist.ts';
import { makeNumberSequences } from './number-sequences.ts';
import { isPath, loadOwnDataset } from './own-dataset.ts';
import { withValidationSplit } from '../split.ts';
import { standardised, withNormalisation } from '../standard-normalisation.ts';
import { makeSyntheticImages } from './synthetic-image.ts';
import { makeSyntheticRegression } from './synthetic-regression.ts';
import { makeSyntheticText } from './synthetic-text.ts';
import { makeTextDataset } from './text-dataset.ts';
import { makeTokenBags } from './token-bags.ts';
import { loadDigits, readMobyDick } from './vendored.ts';

/** What a loader may need. */
export interface DatasetRequest {
  readonly places: DataPlaces;
  /** Undefined: nothing is downloaded. */
  readonly network: WebAccess | undefined;
  /** Randomness of synthetic samples and of splits. */
  readonly seed: number;
  /** Fraction of the training samples moved to `validation`, between 0 and 1; 0: none. */
  readonly validationFraction: number;
  readonly settings: DatasetSettings;
}

/** A data set that has a name. */
export interface KnownDataset {
  /** What it is, and how large, in a few words. */
  readonly about: string;
  /** Its source, in words. */
  readonly from: string;
  /** The settings that say how it is made; for the others it has no use. */
  readonly follows?: readonly (keyof DatasetSettings)[];
  readonly load: (request: DatasetRequest) => Promise<DatasetSplits>;
}

/** Every data set Lockstep knows; a new one is a file and an entry here. */
export const DATASETS: Readonly<Record<string, KnownDataset>> = {
  mnist: {
    about: '60,000 + 10,000 grey images of digits, 28 x 28, 10 classes',
    from: 'comes with Lockstep',
    load: ({ places, network }) => loadIdxDataset(MNIST, places, network),
  },
  fashion_mnist: {
    about: '60,000 + 10,000 grey images of clothes, 28 x 28, 10 classes',
    from: "Debian's package dataset-fashion-mnist, else a download of 31 MB",
    load: ({ places, network }) => loadIdxDataset(FASHION_MNIST, places, network),
  },
  cifar10: {
    about: '50,000 + 10,000 colour images, 32 x 32, 10 classes',
    from: 'a download of 170 MB, or an archive in --data-dir',
    load: ({ places, network }) => loadCifar(CIFAR10, places, network),
  },
  cifar100: {
    about: '50,000 + 10,000 colour images, 32 x 32, 100 classes',
    from: 'a download of 169 MB, or an archive in --data-dir',
    load: ({ places, network }) => loadCifar(CIFAR100, places, network),
  },
  digits: {
    about: '1,797 grey images of digits, 8 x 8, 10 classes; a tenth is the test',
    from: 'comes with Lockstep',
    load: ({ seed }) => loadDigits(seed),
  },
  moby_dick: {
    about:
      'the novel, 1.2 million characters, to be continued one by one; the last tenth is the test',
    from: 'comes with Lockstep',
    follows: ['textTokens', 'sequenceLength'],
    load: async ({ settings }) =>
      makeTextDataset({
        name: 'moby_dick',
        origin: 'part of Lockstep',
        content: await readMobyDick(),
        tokens: settings.textTokens,
        length: settings.sequenceLength,
      }),
  },
  synthetic_image: {
    about: 'noisy colour patterns, one per class',
    from: 'computed from the seed; samples, classes, image_size and channels say how',
    follows: ['samples', 'classes', 'imageSize', 'channels'],
    load: ({ seed, settings: { samples, classes = 10, channels, imageSize = 32 } }) =>
      atOnce(() =>
        makeSyntheticImages({ seed, ...countsOf(samples), classes, channels, size: imageSize }),
      ),
  },
  synthetic_text: {
    about: 'token ids; the class is the one with the most words among them',
    from: 'computed from the seed; samples, classes, vocabulary and sequence_length say how',
    follows: ['samples', 'classes', 'vocabulary', 'sequenceLength'],
    load: ({ seed, settings: { samples, classes = 2, vocabulary = 1000, sequenceLength } }) =>
      atOnce(() =>
        makeSyntheticText({
          seed,
          ...countsOf(samples),
          classes,
          vocabulary,
          length: sequenceLength,
        }),
      ),
  },
  synthetic_regression: {
    about: 'a smooth function of 16 numbers, plus noise',
    from: 'computed from the seed; samples says how many',
    follows: ['samples'],
    load: ({ seed, settings }) =>
      atOnce(() => makeSyntheticRegression({ seed, ...countsOf(settings.samples) })),
  },
  linear_regression: {
    about: 'a linear function of 10 numbers, plus noise',
    from: 'computed from the seed; samples says how many',
    follows: ['samples'],
    load: ({ seed, settings }) =>
      atOnce(() => makeLinearRegression({ seed, ...countsOf(settings.samples) })),
  },
  number_sequences: {
    about: 'a linear function of 32 x 256 numbers, plus noise',
    from: 'computed from the seed; samples says how many',
    follows: ['samples'],
    load: ({ seed, settings }) =>
      atOnce(() => makeNumberSequences({ seed, ...countsOf(settings.samples) })),
  },
  token_bags: {
    about: 'the sum of the values of 16 tokens out of 10,000, plus noise',
    from: 'computed from the seed; samples says how many',
    follows: ['samples'],
    load: ({ seed, settings }) =>
      atOnce(() => makeTokenBags({ seed, ...countsOf(settings.samples) })),
  },
};

/** The names that `--dataset` takes. */
export const DATASET_NAMES: readonly string[] = Object.keys(DATASETS);

/** Training and test samples of a synthetic set. */
function countsOf(samples: number): { sampleCount: number; testSampleCount: number } {
  return { sampleCount: samples, testSampleCount: Math.max(1, Math.floor(samples / 4)) };
}

function atOnce<Result>(make: () => Result): Promise<Result> {
  return new Promise((resolve) => resolve(make()));
}

/**
 * The data set called `name`, or in the file or folder `name`, ready for training.
 *
 * Throws: ConfigError for a name that is not in `DATASETS`, a path or data folder where nothing is,
 *         and settings that do not fit the data; DataError when its files cannot be had or trusted.
 */
export async function loadDataset(name: string, request: DatasetRequest): Promise<DatasetSplits> {
  const { places, validationFraction, seed, settings } = request;
  await checkFolder(places.dataDir);
  const loaded = await loadByName(name, request);
  const normalised = settings.normalise === 'none' ? withNormalisation(loaded, AS_STORED) : loaded;
  const splits =
    validationFraction === 0
      ? normalised
      : withValidationSplit(normalised, validationFraction, seed);
  return settings.augment === 'none' ? splits : { ...splits, train: withCropFlip(splits.train) };
}

async function loadByName(name: string, request: DatasetRequest): Promise<DatasetSplits> {
  const plainName = name.replaceAll('-', '_');
  const known = Object.hasOwn(DATASETS, plainName) ? DATASETS[plainName] : undefined;
  if (known !== undefined) return known.load(request);
  const { places, settings, seed } = request;
  if (isPath(name))
    return standardised(
      await loadOwnDataset({ path: name, dataDir: places.dataDir, settings, seed }),
    );
  throw new ConfigError(`dataset: unknown data set "${name}". ${suggestion(name, DATASET_NAMES)}`, [
    { path: 'dataset', expected: `${DATASET_NAMES.join(' | ')}, or a path`, got: name },
  ]);
}

async function checkFolder(dataDir: string | undefined): Promise<void> {
  if (dataDir === undefined) return;
  const isFolder = await stat(dataDir).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
  if (!isFolder)
    throw new ConfigError(
      `--data-dir: expected a folder with data files, found none at ${dataDir}`,
      [{ path: 'data_dir', expected: 'a folder', got: dataDir }],
    );
}

function withCropFlip(train: Dataset): Dataset {
  const [, height = 0] = train.features;
  if (train.features.length === 3 && train.vocabulary === undefined)
    return {
      ...train,
      augmentation: { cropPadding: Math.max(1, Math.floor(height / 8)), flips: true },
    };
  throw new ConfigError(
    `augment: expected none, got crop-flip: the samples of ${train.name} are no images ` +
      `[channels, height, width] but [${train.features.join(', ')}]`,
    [{ path: 'augment', expected: 'none', got: 'crop-flip' }],
  );
}
