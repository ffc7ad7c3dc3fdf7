/** The user's own files as a data set. */
import type { Stats } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { ConfigError, DataError, messageOf } from '../../base/errors.ts';
import { makeArrayDatasets } from './array-dataset.ts';
import type { ArrayPair, NamedArray } from './array-dataset.ts';
import { makeCsvDataset } from './csv-dataset.ts';
import type { DatasetSplits } from '../dataset.ts';
import type { DatasetSettings } from '../dataset-settings.ts';
import { parseNpy } from '../formats/npy.ts';
import { MAX_ARRAY_BYTES } from '../shared-memory.ts';
import { withTestSplit } from '../split.ts';
import { makeTextDataset, MAX_TEXT_BYTES } from './text-dataset.ts';
import { readZip } from '../formats/zip.ts';

/** Longest table, in bytes: it is held as text and as numbers while it is read. */
const MAX_CSV_BYTES = 2 ** 27;

/** A path of the user's, and how what is there is read. */
export interface OwnDatasetRequest {
  /** The user's words; when nothing is there, its last part is looked for in `dataDir`. */
  readonly path: string;
  readonly dataDir?: string | undefined;
  readonly settings: DatasetSettings;
  /** Chooses the test samples where the files do not say. */
  readonly seed: number;
}

/** Whether `dataset` names a file or folder, not a data set: it has a slash or a dot. */
export function isPath(dataset: string): boolean {
  return /[./\\]/.test(dataset);
}

/**
 * Reads a file (.npz, .csv, .tsv, .txt) or a folder (of .npy files, or of class-named images).
 *
 * Throws: ConfigError when there is nothing at the path or it is of another kind; DataError for
 *         what is in it.
 */
export async function loadOwnDataset(request: OwnDatasetRequest): Promise<DatasetSplits> {
  const { settings, seed } = request;
  const { path, stats } = await locate(request);
  if (stats.isDirectory()) {
    if (await isArrayFolder(path)) return loadArrays(path, await readFolder(path), request);
    // Most starts need none of its decoders.
    const { loadImageFolder } = await import('./image-folder.ts');
    return loadImageFolder(path, settings, seed);
  }
  const ending = extname(path).toLowerCase();
  switch (ending) {
    case '.npz':
      return loadArrays(path, await readNpz(path, stats.size), request);
    case '.csv':
    case '.tsv': {
      const text = textOf(await readWhole(path, stats.size, MAX_CSV_BYTES), path);
      const { dataset, skipped } = makeCsvDataset({ path, text, ...settings });
      const splits = withTestSplit(dataset, path, seed);
      return skipped === undefined ? splits : { ...splits, notes: [`${path}: ${skipped}`] };
    }
    case '.txt': {
      const content = await readWhole(path, stats.size, MAX_TEXT_BYTES);
      return makeTextDataset({
        name: path,
        origin: path,
        content,
        tokens: settings.textTokens,
        length: settings.sequenceLength,
      });
    }
    default:
      throw notReadable(path, `a file with the ending ${JSON.stringify(ending)}`);
  }
}

async function locate({
  path,
  dataDir,
}: OwnDatasetRequest): Promise<{ path: string; stats: Stats }> {
  const places = dataDir === undefined ? [path] : [path, join(dataDir, basename(path))];
  for (const place of places) {
    try {
      return { path: place, stats: await stat(place) };
    } catch {
      continue; // Not there; the next place, or the error below.
    }
  }
  throw notReadable(path, `nothing at ${places.join(' or ')}`);
}

function notReadable(path: string, found: string): ConfigError {
  const expected =
    'a .npz, .csv, .tsv or .txt file, or a folder of .npy files or class-named images';
  return new ConfigError(`dataset: expected ${expected}, found ${found}.`, [
    { path: 'dataset', expected, got: path },
  ]);
}

async function readWhole(path: string, size: number, limit: number): Promise<Buffer> {
  if (size === 0)
    throw new DataError(`reading ${path}: expected samples, the file is empty`, { path });
  if (size > limit)
    throw new DataError(
      `reading ${path}: expected at most ${limit} bytes, found ${size}. Every worker holds ` +
        'the whole data set in memory; tables are smaller as .npz.',
      { path, size },
    );
  try {
    return await readFile(path);
  } catch (error) {
    throw new DataError(`reading ${path}: ${messageOf(error)}`, { path }, { cause: error });
  }
}

function textOf(content: Uint8Array, path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(content).replaceAll('\r\n', '\n');
  } catch (error) {
    throw new DataError(
      `reading ${path}: expected text in UTF-8, found bytes that are none`,
      { path },
      { cause: error },
    );
  }
}

type ReadArray = (name: string) => Promise<NamedArray>;

/** Names of arrays, without ending, and how to read one. */
interface ArraySource {
  readonly names: readonly string[];
  readonly read: ReadArray;
}

async function isArrayFolder(folder: string): Promise<boolean> {
  return (await readdir(folder)).some((name) => name.endsWith('.npy'));
}

async function readFolder(folder: string): Promise<ArraySource> {
  const files = (await readdir(folder)).filter((name) => name.endsWith('.npy'));
  return {
    names: files.map((name) => name.slice(0, -4)),
    async read(name) {
      const path = join(folder, `${name}.npy`);
      const content = await readWhole(path, (await stat(path)).size, MAX_ARRAY_BYTES);
      return { name: path, array: parseNpy(content, path) };
    },
  };
}

async function readNpz(path: string, size: number): Promise<ArraySource> {
  const members = readZip(await readWhole(path, size, MAX_ARRAY_BYTES), path);
  return {
    names: members.map(({ name }) => name.replace(/\.npy$/, '')),
    read(name) {
      const member = members.find((one) => one.name.replace(/\.npy$/, '') === name);
      if (member === undefined || member.byteLength > MAX_ARRAY_BYTES)
        return Promise.reject(
          new DataError(
            `reading ${path}: expected ${name} of at most ${MAX_ARRAY_BYTES} bytes, found ` +
              `${member?.byteLength ?? 'none'}`,
          ),
        );
      const label = `${path}: ${name}`;
      return Promise.resolve({ name: label, array: parseNpy(member.read(), label) });
    },
  };
}

/** Arrays x_train, y_train, x_test, y_test; or x, y, of which a tenth is kept for the test. */
async function loadArrays(
  path: string,
  { names, read }: ArraySource,
  { settings, seed }: OwnDatasetRequest,
): Promise<DatasetSplits> {
  const has = (...wanted: string[]): boolean => wanted.every((name) => names.includes(name));
  const pair = async (x: string, y: string): Promise<ArrayPair> => ({
    x: await read(x),
    y: await read(y),
  });
  const options = { name: path, classes: settings.classes, vocabulary: settings.vocabulary };
  if (has('x_train', 'y_train', 'x_test', 'y_test')) {
    const pairs = [await pair('x_train', 'y_train'), await pair('x_test', 'y_test')];
    const [train, test] = makeArrayDatasets(pairs, options);
    if (train !== undefined && test !== undefined) return { name: path, origin: path, train, test };
  }
  if (has('x', 'y')) {
    const [whole] = makeArrayDatasets([await pair('x', 'y')], options);
    if (whole !== undefined) return withTestSplit(whole, path, seed);
  }
  throw new DataError(
    `reading ${path}: expected arrays x_train, y_train, x_test and y_test, or x and y; found ` +
      (names.slice(0, 20).join(', ') || 'none'),
    { path },
  );
}
