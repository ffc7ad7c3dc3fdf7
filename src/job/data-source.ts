/**
 * Finds the data of a run on this machine: where its user says on the coordinator, and on a worker
 * in the worker's own folders only, whatever the job says.
 */
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import * as z from 'zod';
import { systemClock } from '../base/clock.ts';
import { DataError, ProtocolError } from '../base/errors.ts';
import {
  AUGMENT_NAMES,
  BAD_ROW_ACTIONS,
  NORMALISE_NAMES,
  TOKEN_KINDS,
} from '../data/dataset-settings.ts';
import type { TrainConfig } from '../config/train-config.ts';
import type { DataPlaces, Dataset, DatasetSplits } from '../data/dataset.ts';
import { someSamplesOf } from '../data/split.ts';
import { loadDataset } from '../data/sources/datasets.ts';
import { isPath } from '../data/sources/own-dataset.ts';

/** From 1 to the most that the setting of this name takes. */
const upTo = (most: number): z.ZodInt => z.int().min(1).max(most);

const datasetSpec = z.object({
  /** A name or a path; in a job `./` and the last part of the path. */
  name: z.string().max(4096),
  seed: z.int().min(0),
  /** Fraction of the training samples kept for validation; 0 for none. */
  validationFraction: z.number().min(0).lt(1),
  /** Of the samples for evaluation so many are used; all when absent. */
  evaluateSamples: upTo(1_000_000_000).optional(),
  settings: z.object({
    samples: upTo(100_000_000),
    classes: upTo(65_536).optional(),
    imageSize: upTo(1024).optional(),
    channels: upTo(64),
    sequenceLength: upTo(65_536),
    vocabulary: upTo(1_000_000).optional(),
    textTokens: z.enum(TOKEN_KINDS),
    labelColumn: z.string().max(4096).optional(),
    onBadRow: z.enum(BAD_ROW_ACTIONS),
    normalise: z.enum(NORMALISE_NAMES),
    augment: z.enum(AUGMENT_NAMES),
  }),
});

/** What names a data set, how it is made or read, and how it is split: travels in the job. */
export type DatasetSpec = z.infer<typeof datasetSpec>;

/** The data set that a configuration asks for. */
export function datasetSpecOf(config: TrainConfig): DatasetSpec {
  const { dataset, seed, validationSplit, evalSamples } = config;
  const settings = datasetSpec.shape.settings.parse(config);
  const evaluated = evalSamples === undefined ? {} : { evaluateSamples: evalSamples };
  return { name: dataset, seed, validationFraction: validationSplit, ...evaluated, settings };
}

/** The same as a job says it: folders of this machine are nobody else's business. */
export function jobDatasetOf(config: TrainConfig): DatasetSpec {
  const { name, ...how } = datasetSpecOf(config);
  return { ...how, name: isPath(name) ? `./${basename(resolve(name))}` : name };
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
  return { dataDir, cacheDir: join(cacheHome, 'lockstep') };
}

/** How data are looked for. */
export interface SearchOptions {
  /** Nothing is downloaded: what is not on this machine is not there. */
  readonly isOffline?: boolean;
}

/** Loads the data that `spec` names. Throws DataError or ConfigError. */
export async function loadRunData(
  spec: DatasetSpec,
  places: DataPlaces,
  { isOffline = false }: SearchOptions = {},
): Promise<RunData> {
  const { name, ...how } = spec;
  const network = isOffline ? undefined : { fetch, clock: systemClock };
  const splits = await loadDataset(name, { ...how, places, network });
  const { train, test, validation } = splits;
  const all = validation ?? test;
  const { evaluateSamples = all.sampleCount } = how;
  const evaluate = someSamplesOf(all, evaluateSamples, how.seed);
  return {
    splits,
    train,
    evaluate,
    evaluateSplit: validation === undefined ? 'test' : 'validation',
    digest: `${train.digest}:${evaluate.digest}`,
  };
}

/**
 * Loads the data of a job on a worker. A set that has a name is looked for in the usual places; the
 * coordinator's own file or folder only in `places.dataDir`, by the last part of its path.
 *
 * Throws: DataError when it is not there; as `loadRunData`.
 */
export async function loadJobData(
  spec: DatasetSpec,
  places: DataPlaces,
  options: SearchOptions = {},
): Promise<RunData> {
  const path = isPath(spec.name) ? ownPathOf(spec.name, places) : spec.name;
  return loadRunData({ ...spec, name: path }, places, options);
}

/** What an error tells programs that is about data which are not there. */
const MISSING = { isMissing: true };

function ownPathOf(name: string, { dataDir }: DataPlaces): string {
  // The coordinator's machine may be of the other kind.
  const base = name.split(/[/\\]/).at(-1) ?? '';
  const wanted = `${JSON.stringify(base)}, a file or folder of the coordinator's user`;
  if (['', '.', '..'].includes(base) || base.includes('\0'))
    throw new DataError(`data of the run: expected the name of a file or folder, got ${wanted}`);
  if (dataDir === undefined)
    throw new DataError(
      `data of the run: expected ${wanted}. A worker reads it from its own folder only: put a ` +
        'copy into one and start the worker again with --data-dir <folder>.',
      MISSING,
    );
  // Absolute: a bare name would be that of a known set.
  const path = resolve(dataDir, base);
  if (existsSync(path)) return path;
  throw new DataError(
    `data of the run: expected ${wanted}, found none in --data-dir ${dataDir}. Put a copy there ` +
      'and start the worker again.',
    MISSING,
  );
}

/**
 * The folder that a worker on this machine, which the run starts itself, is to find its data in:
 * where the user's file or folder lies, or what the user says.
 */
export function localDataDir({
  dataset,
  dataDir,
}: Pick<TrainConfig, 'dataset' | 'dataDir'>): string | undefined {
  return isPath(dataset) && existsSync(dataset) ? dirname(resolve(dataset)) : dataDir;
}
