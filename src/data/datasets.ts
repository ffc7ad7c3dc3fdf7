import { ConfigError } from '../base/errors.ts';
import { suggestion } from '../config/closest-name.ts';
import type { DatasetName } from '../config/train-config.ts';
import type { DataPlaces, DatasetSplits, Normalisation } from './dataset.ts';
import type { Network } from './download.ts';
import { loadIdxDataset } from './idx-dataset.ts';
import { MNIST } from './mnist.ts';
import { withValidationSplit } from './split.ts';
import { makeSyntheticRegression } from './synthetic-regression.ts';
import type { SyntheticRegressionOptions } from './synthetic-regression.ts';

/** What a loader may need. */
export interface DatasetRequest {
  readonly places: DataPlaces;
  readonly network: Network;
  /** Randomness of synthetic samples and of the validation split. */
  readonly seed: number;
  /** Fraction of the training samples moved to `validation`, between 0 and 1; absent or 0: none. */
  readonly validationFraction?: number;
  /** Replaces the data set's own; `normalisationOfBytes(0.5, 0.5)` maps bytes to -1 .. 1 as SmolCluster does. */
  readonly normalisation?: Normalisation;
  readonly synthetic?: Omit<SyntheticRegressionOptions, 'seed'>;
}

/** Loads or computes one data set. */
export type DatasetLoader = (request: DatasetRequest) => Promise<DatasetSplits>;

/** Every data set Lockstep knows; a new one is a file, its name in config/ and a line here. */
export const DATASETS: Readonly<Record<DatasetName, DatasetLoader>> = {
  mnist: ({ places, network }) => loadIdxDataset(MNIST, places, network),
  'synthetic-regression': async ({ seed, synthetic }) => makeSyntheticRegression({ ...synthetic, seed }),
};

/**
 * The data set called `name`, ready for training.
 *
 * Throws: ConfigError for a name that is not in `DATASETS`; DataError when its files cannot be had or trusted.
 */
export async function loadDataset(name: string, request: DatasetRequest): Promise<DatasetSplits> {
  const loader = Object.hasOwn(DATASETS, name) ? DATASETS[name as DatasetName] : undefined;
  if (loader === undefined) {
    const names = Object.keys(DATASETS);
    throw new ConfigError(`dataset: unknown data set "${name}". ${suggestion(name, names)}`, [
      { path: 'dataset', expected: names.join(' | '), got: name },
    ]);
  }
  const { validationFraction = 0, normalisation, seed } = request;
  const loaded = await loader(request);
  const splits = normalisation === undefined ? loaded : withNormalisation(loaded, normalisation);
  return validationFraction === 0 ? splits : withValidationSplit(splits, validationFraction, seed);
}

function withNormalisation(splits: DatasetSplits, normalisation: Normalisation): DatasetSplits {
  return {
    ...splits,
    train: { ...splits.train, normalisation },
    test: { ...splits.test, normalisation },
  };
}
