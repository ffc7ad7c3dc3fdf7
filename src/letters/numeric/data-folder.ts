import { type Locate, within } from './bounded-file.ts';
import {
  type LettersDirectory,
  type LettersFile,
  readLettersDirectory,
  readLettersFile,
} from './letters-directory.ts';
import type { LettersTextOptions } from './letters-text.ts';

/**
 * The folder whose files others may name, one read at a time: many callers do not take the memory
 * of many files.
 */
export class DataFolder {
  readonly #locate: Locate;
  #last: Promise<unknown> = Promise.resolve();

  constructor(folder: string) {
    this.#locate = within(folder);
  }

  /** Reads one file. Throws: DataError. */
  readFile(path: string, how: LettersTextOptions): Promise<LettersFile> {
    return this.#inTurn(() => readLettersFile(path, how, this.#locate));
  }

  /** Reads all files of a job. Throws: DataError. */
  readDirectory(directory: string, classes: number): Promise<LettersDirectory> {
    return this.#inTurn(() => readLettersDirectory(directory, classes, this.#locate));
  }

  async #inTurn<T>(read: () => Promise<T>): Promise<T> {
    const reading = this.#last.then(read);
    // Who comes next only waits; whether this one failed is its caller's to know.
    this.#last = reading.catch(() => {});
    return reading;
  }
}
