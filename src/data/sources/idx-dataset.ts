/** Data sets that come as four IDX files: finding, fetching, verifying, loading. */
import type { DataPlaces, Dataset, DatasetSplits, Normalisation } from '../dataset.ts';
import { makeDataset } from '../dataset-digest.ts';
import type { WebAccess } from './download.ts';
import { findFile } from './find-file.ts';
import type { WantedFile } from './find-file.ts';
import { readIdxFile } from '../formats/idx-files.ts';
import type { IdxFile } from '../formats/idx-files.ts';
import { sharedInt32 } from '../shared-memory.ts';

/** A data set of grey images and labels in IDX files. */
export interface IdxDataset extends Pick<WantedFile, 'innerFolders' | 'carried' | 'system'> {
  readonly name: string;
  readonly classes: number;
  readonly classNames?: readonly string[];
  readonly normalisation: Normalisation;
  readonly files: Readonly<
    Record<'trainImages' | 'trainLabels' | 'testImages' | 'testLabels', IdxFile>
  >;
  /** What `makeDataset` comes to for these files: known, it need not be computed at each start. */
  readonly digests?: Readonly<Record<'train' | 'test', string>>;
  /** Addresses to which file name and `.gz` are appended, tried in order. */
  readonly mirrors: readonly string[];
}

/**
 * Loads the four files, each from the first place that has it (see `findFile`). A file may be plain
 * or `.gz` anywhere.
 *
 * Throws: DataError when a file is damaged (the search does not go on past it), or nowhere to be
 *         had: the message names every place tried.
 */
export async function loadIdxDataset(
  set: IdxDataset,
  places: DataPlaces,
  network: WebAccess | undefined,
): Promise<DatasetSplits> {
  const origins = new Set<string>();
  const load = async (file: IdxFile): Promise<Uint8Array<SharedArrayBuffer>> => {
    const { path, origin } = await findFile(wantedFile(set, file), places, network);
    origins.add(origin);
    return readIdxFile(path, file);
  };
  const makeSplit = async (images: IdxFile, labels: IdxFile, digest?: string): Promise<Dataset> =>
    makeDataset(describeSplit(set, images.shape, await load(images), await load(labels)), digest);
  const { trainImages, trainLabels, testImages, testLabels } = set.files;
  const train = await makeSplit(trainImages, trainLabels, set.digests?.train);
  const test = await makeSplit(testImages, testLabels, set.digests?.test);
  return { name: set.name, origin: [...origins].join(', '), train, test };
}

function wantedFile(set: IdxDataset, { fileName, gzipBytes, gzipSha256 }: IdxFile): WantedFile {
  const packed = `${fileName}.gz`;
  return {
    ...set,
    dataset: set.name,
    names: [fileName, packed, `${fileName}.runs`],
    download: {
      name: packed,
      addresses: set.mirrors.map((mirror) => mirror + packed),
      bytes: gzipBytes,
      sha256: gzipSha256,
    },
    whatToCopy: 'the four files (plain or .gz)',
  };
}

function describeSplit(
  set: IdxDataset,
  shape: readonly number[],
  images: Uint8Array<SharedArrayBuffer>,
  labels: Uint8Array<SharedArrayBuffer>,
): Omit<Dataset, 'digest'> {
  const { name, classes, classNames, normalisation } = set;
  const [sampleCount = 0, ...pixels] = shape;
  const y = sharedInt32(labels.length, name);
  y.set(labels);
  return {
    name,
    sampleCount,
    features: [1, ...pixels],
    target: { kind: 'classification', classes },
    ...(classNames === undefined ? {} : { classNames }),
    x: images,
    y,
    normalisation,
    fileForm: { layout: 'grey' },
  };
}
