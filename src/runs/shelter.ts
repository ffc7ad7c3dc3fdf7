/** Where files go that cannot be where they should: what was trained is not thrown away. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { LockstepError, messageOf } from '../base/errors.ts';

/** Memory that looks like a disk, on Linux: there is room in it when all disks are full. */
const IN_MEMORY = '/dev/shm';

/** Beside the folder of the run, where the command was given, for temporary files, in memory. */
export function sheltersFor(outDir: string): readonly string[] {
  return [outDir, '.', tmpdir(), IN_MEMORY];
}

/** Folders of its own in others, each made when it is needed. */
export class Shelter {
  readonly #prefix: string;
  readonly #places: readonly string[];
  readonly #made = new Map<string, string>();

  /** `places` are tried in this order; the folders' names begin with `name`. */
  constructor(name: string, places: readonly string[]) {
    this.#prefix = `${name}-saved-`;
    this.#places = places;
  }

  /**
   * Gives the first folder with which `use` does not fail. Folders with which it did are gone
   * again, unless something was put there before.
   *
   * Throws: FILE_FAILED with the reason of every place.
   */
  first(use: (folder: string) => void): string {
    const reasons: string[] = [];
    for (const place of this.#places) {
      try {
        return this.#use(place, use);
      } catch (error) {
        reasons.push(`${place}: ${reasonOf(error)}`);
      }
    }
    const reason = reasons.join('; ');
    throw new LockstepError('FILE_FAILED', `no other folder takes it: ${reason}`, { reason });
  }

  #use(place: string, use: (folder: string) => void): string {
    const known = this.#made.get(place);
    const folder = known ?? mkdtempSync(join(resolve(place), this.#prefix));
    try {
      use(folder);
      this.#made.set(place, folder);
      return folder;
    } catch (error) {
      if (known === undefined) rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }
}

/** A folder as it is told, with what has to be known about it. */
export function placeText(folder: string): string {
  return folder.startsWith(`${IN_MEMORY}/`)
    ? `${folder}, which is memory: copy it before you log out or the machine restarts`
    : folder;
}

/** What the file system said, without the remedies of a message. */
export function reasonOf(error: unknown): string {
  const reason = error instanceof LockstepError ? error.context['reason'] : undefined;
  return typeof reason === 'string' ? reason : messageOf(error);
}
