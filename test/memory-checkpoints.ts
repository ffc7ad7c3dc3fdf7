/**
 * Checkpoints in memory, on a file system that may be stopped at any call: by a kill, after which
 * all is there that was done; or by a power cut, after which of what was not synced any part may be,
 * torn anywhere. Any call may fail, and a disk that could not sync once has lost what it had.
 */
import { createHash } from 'node:crypto';
import { RandomWords } from '../src/base/random.ts';
import type { CheckpointStore, FileHashes, NewFile } from '../src/checkpoint/checkpoint-store.ts';
import { dataStartOf } from '../src/checkpoint/safetensors.ts';

/** Of much, a call takes a quarter, as a file system may; so many bytes it takes always. */
const LEAST_WRITE_BYTES = 200;

interface MemoryFile {
  readonly kind: 'file';
  chunks: Uint8Array[];
  /** Chunks that a power cut does not take. */
  syncedCount: number;
  /** What was written before can be synced no more. */
  isLost: boolean;
}

/** A call that fails, whatever it is; `Infinity`: none. */
interface Failure {
  readonly from: number;
  /** The first call that is well again. */
  readonly to: number;
  readonly code: 'EIO' | 'ENOSPC';
  readonly what: 'sync' | 'write';
}

type Change =
  | { readonly kind: 'put'; readonly name: string; readonly node: MemoryFile | MemoryFolder }
  | { readonly kind: 'rename'; readonly from: string; readonly to: string }
  | { readonly kind: 'remove'; readonly name: string };

class MemoryFolder {
  readonly kind = 'folder';
  readonly entries = new Map<string, MemoryFile | MemoryFolder>();
  readonly changes: Change[] = [];
  /** Those that could not be synced: each may be gone, whatever is synced after it. */
  readonly lost = new Set<Change>();
  syncedCount = 0;

  change(change: Change): void {
    this.changes.push(change);
    apply(this.entries, change);
  }
}

function apply(entries: MemoryFolder['entries'], change: Change): void {
  if (change.kind === 'put') entries.set(change.name, change.node);
  else if (change.kind === 'remove') entries.delete(change.name);
  else {
    const node = entries.get(change.from);
    entries.delete(change.from);
    if (node !== undefined) entries.set(change.to, node);
  }
}

function bytesIn(node: MemoryFile | MemoryFolder): number {
  const parts =
    node.kind === 'file'
      ? node.chunks.map(({ length }) => length)
      : [...node.entries.values()].map(bytesIn);
  return parts.reduce((a, b) => a + b, 0);
}

/** What a call that is the last one ends with. */
export class Stopped extends Error {}

/** The store; `stopAt` calls are done, the next one throws `Stopped`, as do all after it. */
export class MemoryCheckpoints implements CheckpointStore {
  #root: MemoryFolder;
  #calls = 0;
  stopAt = Infinity;
  /** Calls of this kind that fail; of its own kind each is counted. */
  failure: Failure | undefined;
  #kinds = { sync: 0, write: 0 };
  /** What a sync waits for. */
  onSync: () => Promise<void> = async () => {};
  /** Bytes that there is room for in all. */
  capacity: number | undefined;

  constructor(root = new MemoryFolder()) {
    this.#root = root;
  }

  /** Writes, and whatever else changes something, so far. */
  get calls(): number {
    return this.#calls;
  }

  /** Calls of these kinds so far. */
  get kinds(): Readonly<Record<Failure['what'], number>> {
    return this.#kinds;
  }

  get usedBytes(): number {
    return bytesIn(this.#root);
  }

  /** What somebody finds who comes after a kill. */
  afterKill(): MemoryCheckpoints {
    return new MemoryCheckpoints(this.#root);
  }

  /** What is there after a power cut: of each folder and file at least what was synced. */
  afterPowerCut(seed: number): MemoryCheckpoints {
    const words = new RandomWords(seed, 'fault', 0, 0);
    let drawn = 0;
    const between = (least: number, most: number): number =>
      least + words.below(drawn++, most - least + 1);
    const restore = (node: MemoryFile | MemoryFolder): MemoryFile | MemoryFolder => {
      if (node.kind === 'file') {
        const count = between(node.syncedCount, node.chunks.length);
        const chunks = node.chunks.slice(0, count).map((chunk, i) => {
          if (i < node.syncedCount || between(0, 1) === 0) return chunk;
          // It was made longer, and of its new bytes only the first have come.
          const torn = new Uint8Array(chunk.length);
          torn.set(chunk.subarray(0, between(0, chunk.length)));
          return torn;
        });
        return { kind: 'file', chunks, syncedCount: count, isLost: false };
      }
      const folder = new MemoryFolder();
      for (const change of node.changes.slice(0, between(node.syncedCount, node.changes.length)))
        if (!node.lost.has(change) || between(0, 1) === 0) apply(folder.entries, change);
      for (const [name, inner] of folder.entries)
        folder.change({ kind: 'put', name, node: restore(inner) });
      folder.syncedCount = folder.changes.length;
      return folder;
    };
    return new MemoryCheckpoints(restore(this.#root) as MemoryFolder);
  }

  /** Flips a bit of a file. */
  flip(path: string, bit: number): void {
    const file = this.#file(path);
    const bytes = Buffer.concat(file.chunks);
    if (bit >> 3 >= bytes.length) throw new Error(`${path} has no bit ${bit}`);
    bytes[bit >> 3]! ^= 1 << (bit & 7);
    file.chunks = [bytes];
  }

  #count(what?: Failure['what']): void {
    if (this.#calls >= this.stopAt) throw new Stopped('stopped');
    this.#calls++;
    if (what === undefined) return;
    const at = this.#kinds[what]++;
    if (this.failure?.what !== what || at < this.failure.from || at >= this.failure.to) return;
    const { code } = this.failure;
    throw Object.assign(new Error(`${code}: ${what}`), { code });
  }

  #folder(path: string): MemoryFolder {
    let node: MemoryFile | MemoryFolder | undefined = this.#root;
    for (const part of path.split('/').filter(Boolean))
      node = node?.kind === 'folder' ? node.entries.get(part) : undefined;
    if (node?.kind !== 'folder') throw new Error(`no folder ${path}`);
    return node;
  }

  #file(path: string): MemoryFile {
    const [folder, name] = this.#placeOf(path);
    const node = folder.entries.get(name);
    if (node?.kind !== 'file') throw new Error(`no file ${path}`);
    return node;
  }

  #placeOf(path: string): [MemoryFolder, string] {
    const parts = path.split('/');
    const name = parts.pop()!;
    return [this.#folder(parts.join('/')), name];
  }

  async list(folder: string): Promise<readonly string[]> {
    return [...this.#folder(folder).entries.keys()];
  }

  async makeFolder(path: string): Promise<void> {
    this.#count();
    const [folder, name] = this.#placeOf(path);
    folder.change({ kind: 'put', name, node: new MemoryFolder() });
  }

  async create(path: string): Promise<NewFile> {
    const [folder, name] = this.#placeOf(path);
    const file: MemoryFile = { kind: 'file', chunks: [], syncedCount: 0, isLost: false };
    this.#count();
    if (folder.entries.has(name)) throw new Error(`${path} is there`);
    folder.change({ kind: 'put', name, node: file });
    return {
      write: async (parts) => {
        this.#count('write');
        const bytes = Buffer.concat(parts);
        const chunk = bytes.subarray(0, Math.max(LEAST_WRITE_BYTES, bytes.length >> 2));
        file.chunks.push(chunk.slice());
        return chunk.length;
      },
      sync: async () => {
        await this.onSync();
        try {
          this.#count('sync');
        } catch (error) {
          // As systems are: they have let go of the bytes, and say the next time that all is well.
          file.isLost = !(error instanceof Stopped);
          throw error;
        }
        if (!file.isLost) file.syncedCount = file.chunks.length;
      },
      close: async () => {},
    };
  }

  async sync(path: string): Promise<void> {
    await this.onSync();
    const folder = this.#folder(path);
    try {
      this.#count('sync');
    } catch (error) {
      if (!(error instanceof Stopped))
        for (const change of folder.changes.slice(folder.syncedCount)) folder.lost.add(change);
      throw error;
    }
    folder.syncedCount = folder.changes.length;
  }

  async rename(from: string, to: string): Promise<void> {
    this.#count();
    const [folder, name] = this.#placeOf(from);
    const [other, target] = this.#placeOf(to);
    if (folder !== other) throw new Error('renamed within one folder only');
    const there = folder.entries.get(target);
    if (there?.kind === 'folder' && there.entries.size > 0) throw new Error(`${to} is not empty`);
    folder.change({ kind: 'rename', from: name, to: target });
  }

  async remove(path: string): Promise<void> {
    const [folder, name] = this.#placeOf(path);
    const node = folder.entries.get(name);
    if (node?.kind === 'folder')
      for (const inner of node.entries.keys()) {
        this.#count();
        node.change({ kind: 'remove', name: inner });
      }
    if (node === undefined) return;
    this.#count();
    folder.change({ kind: 'remove', name });
  }

  async read(path: string): Promise<Uint8Array> {
    return Buffer.concat(this.#file(path).chunks);
  }

  async hash(paths: readonly string[]): Promise<FileHashes> {
    const contents = paths.map((path) => Buffer.concat(this.#file(path).chunks));
    const tensors = contents.map((bytes) => bytes.subarray(dataStartOf(bytes) ?? bytes.length));
    return {
      files: contents.map((bytes) => sha256(bytes)),
      weightsDigest: sha256(tensors[0] ?? new Uint8Array(0)),
      stateDigest: sha256(Buffer.concat(tensors)),
    };
  }

  freeBytes(): number | undefined {
    return this.capacity && Math.max(0, this.capacity - this.usedBytes);
  }
}

/** SHA-256 in hex. */
export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
