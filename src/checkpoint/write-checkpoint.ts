/**
 * Writes a checkpoint: beside its place, then into it. Whoever is killed, or whose power is cut, at
 * any point leaves the ones before whole, and this one whole or not there.
 *
 * Files are synced, read again and compared; then the manifest, then the folder, and only then the
 * name. What is renamed counts once the folder above is synced, too. What could not be synced is
 * given up and written anew: a disk that has failed once may say the next time that all is well.
 */
import { LockstepError } from '../base/errors.ts';
import type { CheckpointStore } from './checkpoint-store.ts';
import { checkpointName, isPartial, MANIFEST_NAME, partialName } from './checkpoint-names.ts';
import { encodeManifest, type Manifest } from './manifest.ts';
import { verifyCheckpoint } from './read-checkpoints.ts';
import { writeFile } from './write-file.ts';

/** A checkpoint that is to be written. */
export interface CheckpointContent {
  /** All but what follows from the files. */
  readonly facts: Omit<Manifest, 'files'>;
  /** Tensors first, in the order of the state; in pieces, which must not change meanwhile. */
  readonly files: readonly { readonly name: string; readonly parts: readonly Uint8Array[] }[];
  /** How many of the files hold tensors. */
  readonly tensorFiles: number;
}

/** For what a file system needs beside the files. */
const MARGIN_BYTES = 4 << 20;

/**
 * Writes a checkpoint and gives its name once it would survive a power cut. Of a state that is
 * there already only the manifest is renewed.
 *
 * Rejects with what the store says, or CHECKPOINT_INVALID when the files, read again, do not have
 * the state's digest. Then nothing is left of it.
 */
export async function writeCheckpoint(
  store: CheckpointStore,
  content: CheckpointContent,
): Promise<string> {
  const { step } = content.facts;
  const name = checkpointName(step);
  const known = await wholeOf(store, name);
  if (known !== undefined && known.stateDigest === content.facts.stateDigest)
    return renewManifest(store, name, { ...content.facts, files: known.files });
  const partial = partialName(name, 'new');
  try {
    await store.remove(partial);
    checkRoom(store, content);
    await store.makeFolder(partial);
    for (const { name: file, parts } of content.files)
      await writeFile(store, `${partial}/${file}`, parts);
    const manifest = { ...content.facts, files: await checkedFiles(store, partial, content) };
    await writeFile(store, `${partial}/${MANIFEST_NAME}`, [await encodeManifest(manifest)]);
    await store.sync(partial);
    // Another one of this step: damaged, or of a run that has gone back.
    if ((await store.list('')).includes(name)) await removeCheckpoint(store, name);
    await store.rename(partial, name);
  } catch (error) {
    await store.remove(partial);
    throw error;
  }
  try {
    await store.sync('');
  } catch (error) {
    await store.rename(name, partial);
    await store.remove(partial);
    throw error;
  }
  return name;
}

/** Bytes that must be free for a checkpoint to be written. */
export function roomFor({ files }: Pick<CheckpointContent, 'files'>): number {
  return MARGIN_BYTES + files.reduce((sum, { parts }) => sum + bytesOf(parts), 0);
}

/** Removes a checkpoint; it is gone from the first moment on. */
export async function removeCheckpoint(store: CheckpointStore, name: string): Promise<void> {
  const old = partialName(name, 'old');
  await store.remove(old);
  await store.rename(name, old);
  await store.sync('');
  await store.remove(old);
}

/** Removes what somebody who was killed has left; gives how many checkpoints that were. */
export async function removePartial(store: CheckpointStore): Promise<number> {
  const left = (await store.list('')).filter(isPartial);
  for (const name of left) await store.remove(name);
  return left.length;
}

async function renewManifest(
  store: CheckpointStore,
  name: string,
  manifest: Manifest,
): Promise<string> {
  const partial = `${name}/${partialName(MANIFEST_NAME, 'new')}`;
  try {
    await store.remove(partial);
    await writeFile(store, partial, [await encodeManifest(manifest)]);
    await store.rename(partial, `${name}/${MANIFEST_NAME}`);
  } catch (error) {
    await store.remove(partial);
    throw error;
  }
  await store.sync(name);
  // Whoever gave it its name may have been killed before that was synced.
  await store.sync('');
  return name;
}

/** The manifest of a checkpoint that is there; undefined where there is none, or it is damaged. */
async function wholeOf(store: CheckpointStore, name: string): Promise<Manifest | undefined> {
  if (!(await store.list('')).includes(name)) return undefined;
  try {
    return await verifyCheckpoint(store, name);
  } catch (error) {
    if (error instanceof LockstepError) return undefined;
    throw error;
  }
}

function checkRoom(store: CheckpointStore, content: CheckpointContent): void {
  const needed = roomFor(content);
  const free = store.freeBytes();
  if (free === undefined || needed <= free) return;
  const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
  const reason = `it needs ${megabytes(needed)}, and ${megabytes(free)} are free`;
  throw new LockstepError('FILE_FAILED', `writing a checkpoint: ${reason}`, { reason });
}

/** The table of files, once they are known to hold what they should. */
async function checkedFiles(
  store: CheckpointStore,
  folder: string,
  { facts, files, tensorFiles }: CheckpointContent,
): Promise<Manifest['files']> {
  const paths = files.map(({ name }) => `${folder}/${name}`);
  const tensors = await store.hash(paths.slice(0, tensorFiles));
  const others = await store.hash(paths.slice(tensorFiles));
  const isRight =
    tensors.stateDigest === facts.stateDigest && tensors.weightsDigest === facts.weightsDigest;
  if (!isRight) {
    const reason = `read again, the state of step ${facts.step} has another digest than in memory`;
    const message = `writing a checkpoint: ${reason}. Is the disk or the memory faulty?`;
    throw new LockstepError('CHECKPOINT_INVALID', message, { reason });
  }
  const hashes = [...tensors.files, ...others.files];
  return files.map(({ name, parts }, i) => ({
    name,
    bytes: bytesOf(parts),
    sha256: hashes[i] ?? '',
  }));
}

function bytesOf(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, part) => sum + part.length, 0);
}
