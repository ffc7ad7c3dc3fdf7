/** Finds the data of a job on this machine: the same call on the coordinator and on every worker. */
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../base/clock.ts';
import type { DataPlaces, Dataset, DatasetSplits } from '../data/dataset.ts';
import { loadDataset } from '../data/datasets.ts';

/** What names a data set, and how it is split: travels in the job. */
export interface DatasetSpec {
  readonly name: string;
  readonly seed: number;
  /** Fraction of the training samples kept for validation; 0 for none. */
  readonly validationFraction: number;
}

/** A data set as a run uses it. */
export interface RunData {
  readonly splits: DatasetSplits;
  readonly train: Dataset;
  readonly evaluate: Dataset;
  readonly evaluateSplit: 'test' | 'validation';
  /** One digest of everything a worker must have. */
  readonly digest: string;
}

/** Where data are looked for, given the user's own folder if any. */
export function dataPlaces(dataDir: string | undefined, environment: NodeJS.ProcessEnv): DataPlaces {
  const cacheHome = environment['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  const here = dirname(fileURLToPath(import.meta.url));
  return { dataDir, cacheDir: join(cacheHome, 'lockstep'), packageDirs: [here, process.cwd()] };
}

/** Loads the data that `spec` names. Throws DataError or ConfigError. */
export async function loadRunData(spec: DatasetSpec, places: DataPlaces): Promise<RunData> {
  const { name, seed, validationFraction } = spec;
  const splits = await loadDataset(name, {
    places,
    network: { fetch, clock: systemClock },
    seed,
    validationFraction,
  });
  const { train, test, validation } = splits;
  const evaluate = validation ?? test;
  return {
    splits,
    train,
    evaluate,
    evaluateSplit: validation === undefined ? 'test' : 'validation',
    digest: `${train.digest}:${evaluate.digest}`,
  };
}
