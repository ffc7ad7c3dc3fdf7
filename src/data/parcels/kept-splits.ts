/**
 * Splits that came from a coordinator, kept in the cache folder by their digest, so that they come
 * once. Nothing in them is believed: who takes one out compares its digest.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { DataError } from '../../base/errors.ts';
import type { Dataset } from '../dataset.ts';
import { partBytes, type SplitOffer } from './offer.ts';
import { bytesOf, memoryFor, splitOf } from './partial-split.ts';

/** All that is kept, bytes; what was not used for longest goes when there is more. */
const MAX_KEPT_BYTES = 4 * 2 ** 30;
/** Written, or read, at once: shared memory is copied on its way to a file. */
const CHUNK_BYTES = 1 << 20;
/** A file that is being written is not left alone for so long. */
const ABANDONED_MS = 3_600_000;
const KEPT = /^([\da-f]{64})\.samples$/;
const PARTIAL = /\.part$/;

/** A split that is kept. */
export interface KeptSplit {
  readonly digest: string;
  readonly bytes: number;
  /** Milliseconds since 1970. */
  readonly usedMs: number;
}

/** A folder of splits. */
export class KeptSplits {
  readonly folder: string;
  readonly #maxBytes: number;

  constructor(cacheDir: string, maxBytes: number = MAX_KEPT_BYTES) {
    this.folder = join(cacheDir, 'received');
    this.#maxBytes = maxBytes;
  }

  /**
   * The split that is offered, if it is here. One that is damaged is removed. Throws DataError or
   * ShortageError when there is no memory for it.
   */
  async find(offer: SplitOffer, name: string): Promise<Dataset | undefined> {
    const path = this.#pathOf(offer.digest);
    const file = await open(path, 'r').catch(() => undefined);
    if (file === undefined) return undefined;
    try {
      const split = await read(file, offer, name);
      const now = new Date();
      // Who may not touch it may use it.
      if (split !== undefined) await utimes(path, now, now).catch(() => {});
      else await rm(path, { force: true });
      return split;
    } finally {
      await file.close();
    }
  }

  /**
   * Keeps a split, in place of what was not used for longest. Nothing is left of what cannot be
   * written whole. Throws what the file system says.
   */
  async keep(split: Dataset): Promise<void> {
    const bytes = split.x.byteLength + split.y.byteLength;
    if (bytes > this.#maxBytes) return;
    await mkdir(this.folder, { recursive: true });
    await this.#makeRoom(bytes);
    const path = this.#pathOf(split.digest);
    const partial = join(this.folder, `${split.digest}.${randomUUID()}.part`);
    try {
      await write(partial, split);
      await rename(partial, path);
    } catch (error) {
      await rm(partial, { force: true });
      throw error;
    }
  }

  /** All that is kept, what was used last first. */
  async list(): Promise<KeptSplit[]> {
    const names = await readdir(this.folder).catch(() => []);
    const found = await Promise.all(names.map(async (name) => this.#describe(name)));
    return found.filter((one) => one !== undefined).sort((a, b) => b.usedMs - a.usedMs);
  }

  /** Removes everything; gives how many bytes that were. */
  async clear(): Promise<number> {
    const kept = await this.list();
    await rm(this.folder, { recursive: true, force: true });
    return kept.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  #pathOf(digest: string): string {
    return join(this.folder, `${digest}.samples`);
  }

  async #describe(name: string): Promise<KeptSplit | undefined> {
    const digest = KEPT.exec(name)?.[1];
    if (digest === undefined) return undefined;
    const stats = await stat(join(this.folder, name)).catch(() => undefined);
    return stats && { digest, bytes: stats.size, usedMs: stats.mtimeMs };
  }

  async #makeRoom(bytes: number): Promise<void> {
    await this.#removeAbandoned();
    let left = this.#maxBytes - bytes;
    for (const kept of await this.list()) {
      left -= kept.bytes;
      if (left < 0) await rm(this.#pathOf(kept.digest), { force: true });
    }
  }

  /** Files of processes that were ended while they wrote. */
  async #removeAbandoned(): Promise<void> {
    const names = await readdir(this.folder);
    for (const path of names
      .filter((name) => PARTIAL.test(name))
      .map((n) => join(this.folder, n))) {
      const stats = await stat(path).catch(() => undefined);
      if (stats !== undefined && Date.now() - stats.mtimeMs > ABANDONED_MS)
        await rm(path, { force: true });
    }
  }
}

/** The features of a split, then its targets; undefined when the file has something else. */
async function read(
  file: FileHandle,
  offer: SplitOffer,
  name: string,
): Promise<Dataset | undefined> {
  const { size } = await file.stat();
  if (size !== partBytes(offer, 'x') + partBytes(offer, 'y')) return undefined;
  const bytes = memoryFor(offer, name);
  for (const part of [bytes.x, bytes.y]) if (!(await fill(file, part))) return undefined;
  try {
    return splitOf(offer, bytes, name);
  } catch (error) {
    if (error instanceof DataError) return undefined;
    throw error;
  }
}

/** False when the file ends before. */
async function fill(file: FileHandle, target: Uint8Array): Promise<boolean> {
  const chunk = new Uint8Array(CHUNK_BYTES);
  for (let at = 0; at < target.length;) {
    const { bytesRead } = await file.read(chunk, 0, Math.min(chunk.length, target.length - at));
    if (bytesRead === 0) return false;
    target.set(chunk.subarray(0, bytesRead), at);
    at += bytesRead;
  }
  return true;
}

async function write(path: string, split: Dataset): Promise<void> {
  const { x, y } = bytesOf(split);
  const file = await open(path, 'wx', 0o600);
  try {
    for (const part of [x, y])
      for (let at = 0; at < part.length; at += CHUNK_BYTES)
        await file.writeFile(part.slice(at, at + CHUNK_BYTES));
  } finally {
    await file.close();
  }
}
