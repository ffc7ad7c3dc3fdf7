/** What is not as it should be about the files of a run, told when it happens and at the end. */
import { LockstepError } from '../base/errors.ts';
import type { FileFailed } from '../metrics/events.ts';
import type { RunSummary } from './run-summary.ts';
import { reasonOf } from './shelter.ts';

/** The newest that is known of every file. The same thing is told once. */
export class FileFailures {
  readonly #failures = new Map<string, FileFailed>();
  #onFailed: (event: FileFailed) => void = () => {};

  /** From now on `onFailed` is told. */
  reportTo(onFailed: (event: FileFailed) => void): void {
    this.#onFailed = onFailed;
  }

  /** Keeps and tells what is wrong with a file, unless the same is known already. */
  tell(file: string, reason: string, consequence: string): void {
    if (this.#failures.get(file)?.consequence === consequence) return;
    const event: FileFailed = { kind: 'file-failed', file, reason, consequence };
    this.#failures.set(file, event);
    this.#onFailed(event);
  }

  /** Writes a file; gives the error, which is told, when that fails. */
  attempt(file: string, write: () => void): LockstepError | undefined {
    try {
      write();
      return undefined;
    } catch (error) {
      if (!(error instanceof LockstepError)) throw error;
      this.tell(file, reasonOf(error), 'it is missing');
      return error;
    }
  }

  /**
   * Tells at the end how many records are missing; forgets a failure that was made good since.
   */
  settle(file: string, failure: LockstepError | undefined, missingCount: number): void {
    const reason = failure === undefined ? this.#failures.get(file)?.reason : reasonOf(failure);
    if (missingCount === 0 && failure === undefined) this.#failures.delete(file);
    else this.tell(file, reason ?? '', `${missingCount} records are missing`);
  }

  /** What failed before is made good. */
  forget(file: string): void {
    this.#failures.delete(file);
  }

  /** As the summary has it; nothing when all is well. */
  ofSummary(): Pick<RunSummary, 'fileFailures'> {
    if (this.#failures.size === 0) return {};
    const all = [...this.#failures.values()];
    return {
      fileFailures: all.map(({ file, reason, consequence }) => ({ file, reason, consequence })),
    };
  }
}
