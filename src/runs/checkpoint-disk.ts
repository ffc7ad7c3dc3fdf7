/** Checkpoints on the disk of this machine, in one folder. */
import { existsSync } from 'node:fs';
import { open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { LockstepError } from '../base/errors.ts';
import { siblingModule } from '../base/module-url.ts';
import type { CheckpointStore, FileHashes, NewFile } from '../checkpoint/checkpoint-store.ts';
import { freeBytes } from './disk-space.ts';
import { hashFiles } from './hash-files.ts';
import { makeFolders } from './run-files.ts';

/** Below this, a thread takes longer to start than the bytes to be read. */
const SMALL_BYTES = 4 << 20;

/** A folder for checkpoints on the disk. */
export class CheckpointDisk implements CheckpointStore {
  readonly #root: () => string;

  /** The folder may move while a run goes on. */
  constructor(root: () => string) {
    this.#root = root;
  }

  #path(path: string): string {
    return join(this.#root(), path);
  }

  async list(folder: string): Promise<readonly string[]> {
    const path = this.#path(folder);
    return existsSync(path) ? readdir(path) : [];
  }

  async makeFolder(folder: string): Promise<void> {
    const root = this.#root();
    const isNew = !existsSync(root);
    makeFolders(this.#path(folder));
    if (isNew) await syncFolder(dirname(root));
  }

  async create(path: string): Promise<NewFile> {
    const file = await open(this.#path(path), 'wx');
    return {
      write: async (parts) => (await file.writev([...parts])).bytesWritten,
      sync: async () => file.sync(),
      close: async () => file.close(),
    };
  }

  async sync(folder: string): Promise<void> {
    await syncFolder(this.#path(folder));
  }

  async rename(from: string, to: string): Promise<void> {
    await rename(this.#path(from), this.#path(to));
  }

  async remove(path: string): Promise<void> {
    await rm(this.#path(path), { recursive: true, force: true });
  }

  async read(path: string): Promise<Uint8Array> {
    return readFile(this.#path(path));
  }

  async hash(paths: readonly string[]): Promise<FileHashes> {
    const files = paths.map((path) => this.#path(path));
    let size = 0;
    for (const file of files) size += (await stat(file)).size;
    return size <= SMALL_BYTES ? hashFiles(files) : hashElsewhere(files);
  }

  freeBytes(): number | undefined {
    const root = this.#root();
    return freeBytes(existsSync(root) ? root : dirname(root));
  }
}

async function syncFolder(path: string): Promise<void> {
  // Windows knows no such thing; there a rename is enough.
  if (process.platform === 'win32') return;
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** On a thread of its own, which ends with its answer. */
async function hashElsewhere(files: readonly string[]): Promise<FileHashes> {
  const thread = new Worker(siblingModule(import.meta.url, 'hash-thread'), { workerData: files });
  try {
    return await new Promise((resolve, reject) => {
      thread.once('message', resolve);
      thread.once('error', reject);
      thread.once('exit', () =>
        reject(new LockstepError('INTERNAL', 'the thread that reads checkpoints ended early')),
      );
    });
  } finally {
    await thread.terminate();
  }
}
