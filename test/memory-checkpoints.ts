/**
 * Checkpoints in memory, on a file system that may be stopped at any call: by a kill, after which
 * all is there that was done; or by a power cut, after which of what was not synced any part may be.
 */
import { createHash } from 'node:crypto';
import { RandomWords } from '../src/base/random.ts';
import type { CheckpointStore, FileHashes } from '../src/checkpoint/checkpoint-store.ts';
import { dataStartOf } from '../src/checkpoint/safetensors.ts';

interface MemoryFile {
  readonly kind: 'file';
  chunks: Uint8Array[];
  /** Chunks that a power cut does not take. */
  syncedCount: number;
}

type Change =
  | { readonly kind: 'put'; readonly name: string; readonly node: MemoryFile | MemoryFolder }
  | { readonly kind: 'rename'; readonly from: string; readonly to: string }
  | { readonly kind: 'remove'; readonly name: string };

class MemoryFolder {
  readonly kind = 'folder';
  readonly entries = new Map<string, MemoryFile | MemoryFolder>();
  readonly changes: Change[] = [];
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
  /** Bytes that there is room for in all. */
  capacity: number | undefined;

  constructor(root = new MemoryFolder()) {
    this.#root = root;
  }

  /** Writes, and whatever else changes something, so far. */
  get calls(): number {
    return this.#calls;
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
        return { kind: 'file', chunks: node.chunks.slice(0, count), syncedCount: count };
      }
      const folder = new MemoryFolder();
      for (const change of node.changes.slice(0, between(node.syncedCount, node.changes.length)))
        apply(folder.entries, change);
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
    bytes[bit >> 3]! ^= 1 << (bit & 7);
    file.chunks = [bytes];
  }

  #count(): void {
    if (this.#calls >= this.stopAt) throw new Stopped('stopped');
    this.#calls++;
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

  async write(path: string, parts: readonly Uint8Array[]): Promise<void> {
    const [folder, name] = this.#placeOf(path);
    const file: MemoryFile = { kind: 'file', chunks: [], syncedCount: 0 };
    this.#count();
    folder.change({ kind: 'put', name, node: file });
    for (const part of parts) {
      this.#count();
      file.chunks.push(part.slice());
    }
    this.#count();
    file.syncedCount = file.chunks.length;
  }

  async sync(path: string): Promise<void> {
    this.#count();
    const folder = this.#folder(path);
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
