/** CIFAR-10 and CIFAR-100 in their binary form: finding, fetching, verifying, loading. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { DataError, messageOf } from '../../base/errors.ts';
import type { DataPlaces, Dataset, DatasetSplits } from '../dataset.ts';
import { makeDataset } from '../dataset-digest.ts';
import type { WebAccess } from './download.ts';
import { findFile, firstFile, usersFolders } from './find-file.ts';
import type { CifarSet } from './cifar-sets.ts';
import { sharedBytes, sharedInt32 } from '../shared-memory.ts';
import { readTar } from '../formats/tar.ts';

/** 3 x 32 x 32. */
export const CIFAR_PIXELS = 3072;
const FEATURES = [3, 32, 32];

/** The uncompressed official archives have 184 MB; the bound leaves room for their tar headers. */
const MAX_UNPACKED_BYTES = 200_000_000;

/**
 * Loads the set from a folder of unpacked files or an archive in `places.dataDir`, else from the
 * archive in the first place that has it (see `findFile`), unpacked in memory.
 *
 * An archive from the cache or a mirror must be the official one, byte for byte. One in the user's
 * own folder may be another in the same layout, of any number of images, with exactly the known
 * members; a note then says so.
 * Throws: DataError when it is nowhere to be had, damaged, or not in the layout.
 */
export async function loadCifar(
  set: CifarSet,
  places: DataPlaces,
  network: WebAccess | undefined,
): Promise<DatasetSplits> {
  const source = (await unpackedFolder(set, places)) ?? (await openArchive(set, places, network));
  const classNames = namesIn(await source.read(set.classNamesFile), set.classes);
  const load = async (names: readonly string[]): Promise<Dataset> => {
    const files: CifarFile[] = [];
    for (const name of names) {
      const content = await source.read(name);
      if (content === undefined)
        throw new DataError(`reading ${source.path}: expected ${set.folder}/${name} in it`);
      files.push({ name, content });
    }
    return makeSplit(set, classNames, source.path, files);
  };
  return {
    name: set.name,
    origin: source.origin,
    ...(source.isOfficial
      ? {}
      : { notes: [`${source.path} is not the official archive of ${set.name}`] }),
    train: await load(set.trainFiles),
    test: await load([set.testFile]),
  };
}

interface CifarFile {
  readonly name: string;
  readonly content: Uint8Array;
}

/** An opened folder or archive. */
interface CifarSource {
  readonly path: string;
  readonly origin: string;
  readonly isOfficial: boolean;
  readonly read: (name: string) => Promise<Uint8Array | undefined>;
}

async function unpackedFolder(
  set: CifarSet,
  { dataDir }: DataPlaces,
): Promise<CifarSource | undefined> {
  if (dataDir === undefined) return undefined;
  const found = await firstFile(usersFolders(dataDir, set.name, [set.folder]), [set.testFile]);
  if (found === undefined) return undefined;
  const path = join(found, '..');
  const read = async (name: string): Promise<Uint8Array | undefined> => {
    const file = await firstFile([path], [name]);
    if (file === undefined) return undefined;
    const { size } = await stat(file);
    if (size > MAX_UNPACKED_BYTES)
      throw new DataError(
        `reading ${file}: expected at most ${MAX_UNPACKED_BYTES} bytes, found ${size}`,
      );
    return readFile(file);
  };
  return { path, origin: `folder ${path}`, isOfficial: false, read };
}

async function openArchive(
  set: CifarSet,
  places: DataPlaces,
  network: WebAccess | undefined,
): Promise<CifarSource> {
  const { path, origin, isUsersOwn } = await findFile(
    {
      dataset: set.name,
      names: [set.archive.fileName],
      download: { name: set.archive.fileName, ...set.archive },
      whatToCopy: `${set.archive.fileName} (from ${set.archive.addresses[0] ?? 'its page'})`,
    },
    places,
    network,
  );
  const { content, bytes, sha256 } = await unpack(path);
  const isOfficial = sha256 === set.archive.sha256;
  if (!isOfficial && !isUsersOwn)
    throw new DataError(
      `reading ${path}: expected ${set.archive.bytes} bytes with SHA-256 ` +
        `${set.archive.sha256}, found ${bytes} bytes with SHA-256 ${sha256}. Delete it to have ` +
        'it fetched again.',
      { path, expectedSha256: set.archive.sha256, foundSha256: sha256 },
    );
  const members = membersOf(set, path, content, isOfficial);
  return { path, origin, isOfficial, read: (name) => Promise.resolve(members.get(name)) };
}

/** The content of a gzip file, and length and hash of the file itself. */
async function unpack(
  path: string,
): Promise<{ content: Uint8Array; bytes: number; sha256: string }> {
  const hash = createHash('sha256');
  let bytes = 0;
  let length = 0;
  // Memory that is not written to is not taken from the machine: a small archive costs little.
  const content = Buffer.allocUnsafeSlow(MAX_UNPACKED_BYTES);
  const counted = async function* (chunks: AsyncIterable<Buffer>): AsyncIterable<Buffer> {
    for await (const chunk of chunks) {
      hash.update(chunk);
      bytes += chunk.length;
      yield chunk;
    }
  };
  const collect = async (chunks: AsyncIterable<Buffer>): Promise<void> => {
    for await (const chunk of chunks) {
      if (length + chunk.length > MAX_UNPACKED_BYTES) throw new DataError('it holds more');
      length += chunk.copy(content, length);
    }
  };
  try {
    await pipeline(createReadStream(path), counted, createGunzip(), collect);
    return { content: content.subarray(0, length), bytes, sha256: hash.digest('hex') };
  } catch (error) {
    throw new DataError(
      `reading ${path}: expected a gzip archive of at most ${MAX_UNPACKED_BYTES} bytes ` +
        `unpacked: ${messageOf(error)}. Is it truncated?`,
      { path },
      { cause: error },
    );
  }
}

/**
 * The known files, by name without folder. What else the official archive may hold is passed over;
 * elsewhere it is refused.
 */
function membersOf(
  set: CifarSet,
  path: string,
  archive: Uint8Array,
  isOfficial: boolean,
): Map<string, Uint8Array> {
  const known = new Set([...set.trainFiles, set.testFile, set.classNamesFile, ...set.otherFiles]);
  const members = new Map<string, Uint8Array>();
  for (const { name, kind, content } of readTar(archive, path)) {
    const fileName = name.slice(set.folder.length + 1);
    const isKnown =
      name === `${set.folder}/${fileName}` && known.has(fileName) && !members.has(fileName);
    if (isKnown && kind === 'file') members.set(fileName, content);
    else if (!isOfficial && !(kind === 'folder' && name === `${set.folder}/`))
      throw new DataError(
        `reading ${path}: expected only files of ${set.folder}/ (${[...known].join(', ')}), ` +
          `each once; found ${kind} ${JSON.stringify(name)}. The archive is not used.`,
        { path, member: name },
      );
  }
  return members;
}

/** Reads one name per line, as many as there are classes; undefined when there are not. */
function namesIn(content: Uint8Array | undefined, classes: number): string[] | undefined {
  if (content === undefined) return undefined;
  const lines = Buffer.from(content)
    .toString('latin1')
    .split(/\r?\n/)
    .filter((line) => line !== '');
  return lines.length === classes && lines.every((line) => /^[\x20-\x7e]{1,100}$/.test(line))
    ? lines
    : undefined;
}

/**
 * Records of `labelBytes` labels, the last of which counts, and 3072 pixels: red, green, blue
 * planes, row by row.
 */
function makeSplit(
  set: CifarSet,
  classNames: readonly string[] | undefined,
  path: string,
  files: readonly CifarFile[],
): Dataset {
  const recordBytes = set.labelBytes + CIFAR_PIXELS;
  for (const file of files) refusePartialRecords(path, file, recordBytes);
  const sampleCount = files.reduce((count, { content }) => count + content.length / recordBytes, 0);
  const x = sharedBytes(sampleCount * CIFAR_PIXELS, set.name);
  const y = sharedInt32(sampleCount, set.name);
  let sample = 0;
  for (const { name, content } of files) {
    for (let at = 0; at < content.length; at += recordBytes, sample++) {
      const label = content[at + set.labelBytes - 1] ?? 0;
      if (label >= set.classes)
        throw new DataError(
          `reading ${path}: ${name}, record ${at / recordBytes}: expected a label from 0 to ` +
            `${set.classes - 1}, found ${label}`,
          { path, file: name, record: at / recordBytes },
        );
      y[sample] = label;
      x.set(content.subarray(at + set.labelBytes, at + recordBytes), sample * CIFAR_PIXELS);
    }
  }
  return makeDataset({
    name: set.name,
    sampleCount,
    features: FEATURES,
    target: { kind: 'classification', classes: set.classes },
    ...(classNames === undefined ? {} : { classNames }),
    x,
    y,
    normalisation: set.normalisation,
  });
}

function refusePartialRecords(
  path: string,
  { name, content }: CifarFile,
  recordBytes: number,
): void {
  if (content.length > 0 && content.length % recordBytes === 0) return;
  throw new DataError(
    `reading ${path}: expected ${name} to hold whole records of ${recordBytes} bytes, ` +
      `found ${content.length} bytes. Is it truncated?`,
    { path, file: name, foundBytes: content.length },
  );
}
