/**
 * Finds the data of a job on this machine: the same call on the coordinator and on every worker.
 */
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { systemClock } from '../base/clock.ts';
import { ProtocolError } from '../base/errors.ts';
import {
  AUGMENT_NAMES,
  BAD_ROW_ACTIONS,
  NORMALISE_NAMES,
  TOKEN_KINDS,
} from '../data/dataset-settings.ts';
import type { TrainConfig } from '../config/train-config.ts';
import type { DataPlaces, Dataset, DatasetSplits } from '../data/dataset.ts';
import { loadDataset } from '../data/sources/datasets.ts';

const count = z.int().min(1).max(1_000_000_000);

const datasetSpec = z.object({
  /** A name or a path. */
  name: z.string().max(4096),
  seed: z.int().min(0),
  /** Fraction of the training samples kept for validation; 0 for none. */
  validationFraction: z.number().min(0).lt(1),
  settings: z.object({
    samples: count,
    classes: count.optional(),
    imageSize: count.optional(),
    channels: count,
    sequenceLength: count,
    vocabulary: count.optional(),
    textTokens: z.enum(TOKEN_KINDS),
    labelColumn: z.string().optional(),
    onBadRow: z.enum(BAD_ROW_ACTIONS),
    normalise: z.enum(NORMALISE_NAMES),
    augment: z.enum(AUGMENT_NAMES),
  }),
});

/** What names a data set, how it is made or read, and how it is split: travels in the job. */
export type DatasetSpec = z.infer<typeof datasetSpec>;

/** The data set that a configuration asks for. */
export function datasetSpecOf(config: TrainConfig): DatasetSpec {
  const { dataset, seed, validationSplit } = config;
  const settings = datasetSpec.shape.settings.parse(config);
  return { name: dataset, seed, validationFraction: validationSplit, settings };
}

/** The data set that a job asks for. Throws ProtocolError when it is none. */
export function parseDatasetSpec(value: unknown): DatasetSpec {
  const result = datasetSpec.safeParse(value);
  if (result.success) return result.data;
  throw new ProtocolError(
    `job: expected a data set with its settings: ${z.prettifyError(result.error)}`,
  );
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
export function dataPlaces(
  dataDir: string | undefined,
  environment: NodeJS.ProcessEnv,
): DataPlaces {
  const cacheHome = environment['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  const here = dirname(fileURLToPath(import.meta.url));
  return { dataDir, cacheDir: join(cacheHome, 'lockstep'), packageDirs: [here, process.cwd()] };
}

/** Loads the data that `spec` names. Throws DataError or ConfigError. */
export async function loadRunData(spec: DatasetSpec, places: DataPlaces): Promise<RunData> {
  const { name, ...how } = spec;
  const splits = await loadDataset(name, {
    ...how,
    places,
    network: { fetch, clock: systemClock },
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
