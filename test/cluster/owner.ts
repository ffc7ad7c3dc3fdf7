/** Who ends what was started for it, processes and folders: a test does, or an `Ending`. */

/** Calls `end` when it is over, whatever happened. */
export interface Owner {
  after(end: () => void | Promise<void>): void;
}

/** For what outlasts a test, or belongs to none. */
export class Ending implements Owner {
  readonly #ends: (() => void | Promise<void>)[] = [];

  after(end: () => void | Promise<void>): void {
    this.#ends.push(end);
  }

  /** Ends all of it, the last first. */
  async end(): Promise<void> {
    for (const end of this.#ends.splice(0).toReversed()) await end();
  }
}
