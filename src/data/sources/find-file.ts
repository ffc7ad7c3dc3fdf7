/**
 * Places where the file of a data set is looked for: the user's folder, the cache, the system's
 * and our own, the network.
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { DataError, messageOf } from '../../base/errors.ts';
import type { DataPlaces } from '../dataset.ts';
import { downloadFile } from './download.ts';
import type { WebAccess } from './download.ts';

/** One file of a data set. */
export interface WantedFile {
  /** Name of the data set and of its folder in the cache. */
  readonly dataset: string;
  /** Names it may have, best first. */
  readonly names: readonly string[];
  /** Folders inside the user's own where it may lie, besides that one and one of the set's name. */
  readonly innerFolders?: readonly string[];
  /** Folder of Lockstep's own that has it. */
  readonly carried?: string | undefined;
  /**
   * Where a package of the operating system puts it, and the command that installs that package.
   */
  readonly system?: { readonly folder: string; readonly install: string } | undefined;
  /** What is downloaded when it is nowhere: the last resort. */
  readonly download: {
    readonly name: string;
    readonly addresses: readonly string[];
    readonly bytes: number;
    readonly sha256: string;
  };
  /** What to copy by hand, after "copy". */
  readonly whatToCopy: string;
}

/** A file, and where it was found. */
export interface FoundFile {
  readonly path: string;
  /** The place, in words. */
  readonly origin: string;
  /** Whether it lay in the folder that the user named. */
  readonly isUsersOwn: boolean;
}

/**
 * The first place that has the file; it is downloaded into the cache folder if none has, unless
 * there is no `network`.
 *
 * Throws: DataError naming every place that was tried.
 */
export async function findFile(
  wanted: WantedFile,
  places: DataPlaces,
  network: WebAccess | undefined,
): Promise<FoundFile> {
  const tried: string[] = [];
  for (const { folders, origin, missing, isUsersOwn } of searchPlaces(wanted, places)) {
    const path = await firstFile(folders, wanted.names);
    if (path !== undefined) return { path, origin, isUsersOwn };
    tried.push(missing);
  }
  if (network === undefined) throw missingError(wanted, tried);
  const cacheFolder = join(places.cacheDir, wanted.dataset);
  const { name, addresses, bytes, sha256 } = wanted.download;
  try {
    const path = join(cacheFolder, name);
    await downloadFile({ addresses, path, bytes, sha256 }, network);
    return { path, origin: `downloaded to ${cacheFolder}`, isUsersOwn: false };
  } catch (error) {
    throw missingError(wanted, [...tried, messageOf(error)], error);
  }
}

/** The folders inside the user's own where files of a data set may lie. */
export function usersFolders(
  dataDir: string,
  dataset: string,
  innerFolders: readonly string[] = [],
): string[] {
  return ['', dataset, ...innerFolders].map((inner) => join(dataDir, inner));
}

/**
 * The path of the first of `names` in the first of `folders` that has one; undefined when none has.
 */
export async function firstFile(
  folders: readonly string[],
  names: readonly string[],
): Promise<string | undefined> {
  for (const folder of folders) {
    for (const name of names) {
      const path = join(folder, name);
      if (await isFile(path)) return path;
    }
  }
  return undefined;
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch {
    return false; // Absent or in a folder we may not enter: either way it is not there for us.
  }
}

interface SearchPlace {
  readonly folders: readonly string[];
  readonly origin: string;
  /** What to say when the file is not there. */
  readonly missing: string;
  readonly isUsersOwn: boolean;
}

function searchPlaces(wanted: WantedFile, places: DataPlaces): SearchPlace[] {
  const { dataset, innerFolders, carried, system } = wanted;
  const { dataDir, cacheDir } = places;
  const found: SearchPlace[] = [];
  const add = (
    origin: string,
    folders: readonly string[],
    missing = `${origin}: not there`,
  ): void => void found.push({ origin, folders, missing, isUsersOwn: false });
  if (dataDir !== undefined)
    found.push({
      folders: usersFolders(dataDir, dataset, innerFolders),
      origin: `folder ${dataDir}`,
      missing: `--data-dir ${dataDir}: not there`,
      isUsersOwn: true,
    });
  const cacheFolder = join(cacheDir, dataset);
  add(`cache folder ${cacheFolder}`, [cacheFolder]);
  if (system !== undefined) add(system.folder, [system.folder]);
  if (carried !== undefined)
    add('part of Lockstep', [carried], `${carried}: not there, though it comes with Lockstep`);
  return found;
}

function missingError(wanted: WantedFile, tried: readonly string[], cause?: unknown): DataError {
  const { dataset, names, system, whatToCopy } = wanted;
  const hint = system === undefined ? '' : `run \`${system.install}\`, or `;
  return new DataError(
    [
      `${dataset}: ${names.join(' or ')} is nowhere to be had.`,
      ...tried.map((place) => `  - ${place}`),
      `On a machine without internet access: ${hint}copy ${whatToCopy} into a folder and name ` +
        'it with --data-dir.',
    ],
    { file: names[0], tried, isMissing: true },
    { cause },
  );
}
