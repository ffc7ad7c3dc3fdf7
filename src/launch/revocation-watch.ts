/**
 * Sees to it that a revoked key ends the connections that it has opened. While somebody is in a run
 * by a key, the times of two folders are looked at every second; what lies in them is read
 * only after they have changed, and of those only who are inside.
 */
import type { AccessStore } from '../access/access-store.ts';
import type { Clock, Timer } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';

const PAUSE_MS = 1_000;

/** Who is in a run, by the names of their keys, and the way out. */
interface KeyedRun {
  identities(): readonly string[];
  expel(identity: string, reason: string): void;
}

/** Compares those inside with what is known of their keys. */
export class RevocationWatch {
  readonly #clock: Clock;
  readonly #store: Pick<AccessStore, 'version' | 'revocationOf'>;
  readonly #onNote: (note: string) => void;
  #timer: Timer | undefined;
  #version: string | undefined;
  /** Two changes at nearly the same time may look like one: after each it is read twice. */
  #hasChanged = false;
  /** Found good since the last change; nobody else is remembered than who is inside. */
  #good: ReadonlySet<string> = new Set();
  #trouble = '';

  constructor(
    clock: Clock,
    store: Pick<AccessStore, 'version' | 'revocationOf'>,
    onNote: (note: string) => void,
  ) {
    this.#clock = clock;
    this.#store = store;
    this.#onNote = onNote;
  }

  /** Looks at those in `run` from now on, until the end. */
  begin(run: KeyedRun): void {
    this.#timer = this.#clock.after(PAUSE_MS, () => {
      this.begin(run);
      this.#look(run);
    });
  }

  /** Looks no more. */
  end(): void {
    this.#timer?.cancel();
  }

  #look(run: KeyedRun): void {
    const inside = run.identities();
    if (inside.length === 0) return;
    const version = this.#read(() => this.#store.version(), undefined);
    const isNew = version !== this.#version;
    const known = isNew || this.#hasChanged ? new Set<string>() : this.#good;
    this.#version = version;
    this.#hasChanged = isNew;
    const good = new Set<string>();
    for (const identity of inside) {
      const found = known.has(identity)
        ? undefined
        : this.#read(() => this.#store.revocationOf(identity), 'unknown');
      if (found === undefined) good.add(identity);
      else if (found !== 'unknown') run.expel(identity, found);
    }
    this.#good = good;
  }

  /** What cannot be read says nothing against anybody inside; newcomers are refused for it. */
  #read<T, U>(read: () => T, otherwise: U): T | U {
    try {
      return read();
    } catch (error) {
      const trouble = messageOf(error);
      if (trouble !== this.#trouble) this.#onNote(trouble);
      this.#trouble = trouble;
      return otherwise;
    }
  }
}
