/** What checkpoints there are, and whether they are whole. */
import { LockstepError, messageOf } from '../base/errors.ts';
import type { CheckpointStore } from './checkpoint-store.ts';
import { isPartial, MANIFEST_NAME, stepOfName } from './checkpoint-names.ts';
import { type Manifest, parseManifest } from './manifest.ts';

/** A checkpoint by its name, and what its manifest says, or what is wrong with that. */
export type ListedCheckpoint = { readonly name: string; readonly step: number } & (
  { readonly manifest: Manifest } | { readonly manifest?: undefined; readonly problem: string }
);

/** One that is whole, and those after it that are not. */
export interface FoundCheckpoint {
  readonly name: string;
  readonly manifest: Manifest;
  readonly damaged: readonly { readonly name: string; readonly problem: string }[];
}

/**
 * The checkpoints of a store, the newest first: by step, since clocks go wrong. Throws
 * CHECKPOINT_INVALID when nobody may look.
 */
export async function listCheckpoints(store: CheckpointStore): Promise<ListedCheckpoint[]> {
  const names = await namesIn(store);
  const known = names.flatMap((name) => {
    const step = stepOfName(name);
    return step === undefined ? [] : [{ name, step }];
  });
  known.sort((a, b) => b.step - a.step);
  const listed: ListedCheckpoint[] = [];
  for (const { name, step } of known) {
    try {
      listed.push({ name, step, manifest: await readManifest(store, name) });
    } catch (error) {
      listed.push({ name, step, problem: messageOf(error) });
    }
  }
  return listed;
}

async function namesIn(store: CheckpointStore): Promise<readonly string[]> {
  try {
    return await store.list('');
  } catch (error) {
    const reason = messageOf(error);
    const message = `looking for checkpoints: ${reason}`;
    throw new LockstepError('CHECKPOINT_INVALID', message, { reason }, { cause: error });
  }
}

/** How many were left unfinished. */
export async function countPartial(store: CheckpointStore): Promise<number> {
  return (await namesIn(store)).filter(isPartial).length;
}

/**
 * What a checkpoint says of itself. Throws CHECKPOINT_INVALID when there is none of that name, or
 * it is damaged.
 */
async function readManifest(store: CheckpointStore, name: string): Promise<Manifest> {
  const path = `${name}/${MANIFEST_NAME}`;
  let bytes: Uint8Array;
  try {
    bytes = await store.read(path);
  } catch (error) {
    const message = `reading ${path}: ${messageOf(error)}`;
    throw new LockstepError('CHECKPOINT_INVALID', message, { file: path }, { cause: error });
  }
  const manifest = await parseManifest(bytes, path);
  if (stepOfName(name) === manifest.step) return manifest;
  const message = `reading ${path}: it is the checkpoint of step ${manifest.step}`;
  throw new LockstepError('CHECKPOINT_INVALID', message, { file: path });
}

/**
 * Reads all of a checkpoint and gives its manifest. Throws CHECKPOINT_INVALID, naming the file,
 * when anything is not as it was written.
 */
export async function verifyCheckpoint(store: CheckpointStore, name: string): Promise<Manifest> {
  const manifest = await readManifest(store, name);
  const paths = manifest.files.map((file) => `${name}/${file.name}`);
  try {
    const { files } = await store.hash(paths);
    const odd = paths.find((_, i) => files[i] !== manifest.files[i]?.sha256);
    if (odd === undefined) return manifest;
    throw new LockstepError(
      'CHECKPOINT_INVALID',
      `reading ${odd}: it is damaged: its checksum is another than the manifest's`,
      { file: odd },
    );
  } catch (error) {
    if (error instanceof LockstepError) throw error;
    const message = `reading ${name}: ${messageOf(error)}`;
    throw new LockstepError('CHECKPOINT_INVALID', message, { file: name }, { cause: error });
  }
}

/** The newest checkpoint that is whole; undefined if there is none. */
export async function newestWhole(store: CheckpointStore): Promise<FoundCheckpoint | undefined> {
  const damaged: { name: string; problem: string }[] = [];
  for (const { name } of await listCheckpoints(store)) {
    try {
      return { name, manifest: await verifyCheckpoint(store, name), damaged };
    } catch (error) {
      damaged.push({ name, problem: messageOf(error) });
    }
  }
  return undefined;
}
