/** Records on their way to a file that grows: a file that takes none is no reason to stop. */
import { LockstepError } from '../base/errors.ts';
import { fileError, GrowingFile } from './run-file.ts';

/**
 * Records are written in batches of about this size: a crash loses less than a second of them, not
 * the file.
 */
const FLUSH_BYTES = 16 << 10;
const FLUSH_MS = 500;
/** Records that wait for room are kept up to this size. */
export const MAX_WAITING_BYTES: number = 1 << 20;

/**
 * A growing file with a buffer before it. What cannot be written waits, up to a bound, and is tried
 * again; what is beyond the bound is lost, and counted.
 */
export class RecordFile {
  #path: string;
  readonly #flag: 'w' | 'a';
  #file: GrowingFile | undefined;
  readonly #waiting: string[] = [];
  #waitingBytes = 0;
  #flushedMs = 0;
  #lostCount = 0;
  #isEmpty = true;
  #failure: LockstepError | undefined;

  /** The file is opened by `open`, or with the first records. */
  constructor(path: string, flag: 'w' | 'a') {
    this.#path = path;
    this.#flag = flag;
  }

  /** Throws what the file system says. */
  open(): void {
    this.#file ??= new GrowingFile(this.#path, this.#flag);
  }

  /** Records that are in no file, and will not be when nothing more can be written. */
  get missingCount(): number {
    return this.#lostCount + this.#waiting.length;
  }

  /** Why the newest records could not be written; undefined when they are or need not yet be. */
  get failure(): LockstepError | undefined {
    return this.#failure;
  }

  /** Whether nothing is in the file yet. */
  get isEmpty(): boolean {
    return this.#isEmpty;
  }

  /** Whether the file, if there is one yet, is where it was made. */
  get isInPlace(): boolean {
    return this.#file?.isInPlace ?? true;
  }

  /** Takes a record, to be written with others soon, or `now`: after a failure both mean soon. */
  add(record: string, nowMs: number, when: 'soon' | 'now' = 'soon'): void {
    if (this.#waitingBytes + record.length > MAX_WAITING_BYTES) this.#lostCount++;
    else this.#keep(record);
    const isDue = nowMs - this.#flushedMs > FLUSH_MS;
    const isMuch = when === 'now' || this.#waitingBytes > FLUSH_BYTES;
    if (isDue || (isMuch && this.#failure === undefined)) this.flush(nowMs);
  }

  #keep(record: string): void {
    this.#waiting.push(record);
    this.#waitingBytes += record.length;
  }

  /** Writes what waits; what does not fit goes on waiting, and `failure` says why. */
  flush(nowMs: number): void {
    this.#flushedMs = nowMs;
    this.#failure = this.#attempt(() => {
      while (this.#waiting.length > 0) this.#writeBatch();
    });
  }

  /** In batches, so that a little room is of use. */
  #writeBatch(): void {
    let count = 0;
    let text = '';
    while (count < this.#waiting.length && text.length < FLUSH_BYTES)
      text += this.#waiting[count++] ?? '';
    this.#write(text);
    this.#waiting.splice(0, count);
    this.#waitingBytes -= text.length;
  }

  #write(text: string): void {
    this.open();
    this.#file?.write(text);
    this.#isEmpty = false;
  }

  #attempt(write: () => void): LockstepError | undefined {
    try {
      write();
      return undefined;
    } catch (error) {
      return error instanceof LockstepError ? error : fileError(this.#path, error);
    }
  }

  /** Goes on at `path`, with everything that was written. Throws FILE_FAILED. */
  moveTo(path: string): void {
    this.#file?.moveTo(path);
    this.#path = path;
  }

  /** Writes what waits and closes. What does not fit now is missing. */
  close(nowMs: number): void {
    this.flush(nowMs);
    this.#release();
  }

  /** Closes with `ending` at the end, whatever is missing before it; says whether it fitted. */
  end(ending: string): boolean {
    const failure = this.#attempt(() => this.#write(ending));
    this.#release();
    this.#failure ??= failure;
    return failure === undefined;
  }

  #release(): void {
    this.#file?.close();
    this.#file = undefined;
  }
}
