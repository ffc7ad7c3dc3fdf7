import type { LettersRows } from './numeric/letters-text.ts';

/** Rows that a node holds are dropped beyond this, the longest unused first. */
const MAX_BYTES = 256 << 20;

/** Files that were sent to a node, by the hash of their content. */
export class FileCache {
  readonly #files = new Map<string, LettersRows>();
  #bytes = 0;

  get(digest: string, classes: number): LettersRows | undefined {
    const key = `${digest} ${classes}`;
    const rows = this.#files.get(key);
    if (rows === undefined) return undefined;
    this.#files.delete(key);
    this.#files.set(key, rows);
    return rows;
  }

  put(digest: string, classes: number, rows: LettersRows): void {
    // Two coordinators may have sent the same file.
    if (this.get(digest, classes) !== undefined) return;
    this.#files.set(`${digest} ${classes}`, rows);
    this.#bytes += rows.x.byteLength;
    for (const [key, old] of this.#files) {
      if (this.#bytes <= MAX_BYTES || old === rows) return;
      this.#files.delete(key);
      this.#bytes -= old.x.byteLength;
    }
  }
}
