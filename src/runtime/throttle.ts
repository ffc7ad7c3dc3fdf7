/** A worker made slower than its machine, to try what unequal machines do. */
import { median } from '../base/median.ts';

/** The most that a worker can be slowed down. */
export const MAX_THROTTLE = 1_000;

/** So many pieces of work run unhindered first, to know how long one takes. */
export const UNHINDERED = 8;

/** A word that nobody changes. */
const bed = new Int32Array(new SharedArrayBuffer(4));

/** Sleeps for so many milliseconds; other workers of the machine have the core meanwhile. */
function sleep(ms: number): void {
  Atomics.wait(bed, 0, 0, ms);
}

/** Time, and how it is let pass; both in milliseconds. */
interface Rests {
  readonly now: () => number;
  readonly sleep: (ms: number) => void;
}

/**
 * Makes pieces of work of one kind take `factor` times as long as the first of them did. Work that
 * follows a rest finds caches cold and a sleeping core, and a sleep ends late: what that costs is
 * part of the time a piece may take, or is taken off the next rest.
 */
export class Throttle {
  readonly #factor: number;
  readonly #rests: Rests;
  readonly #unhindered: number[] = [];
  /** How much longer than meant the pieces so far took; below 0, how much shorter. */
  #lateMs = 0;

  constructor(factor = 1, rests: Rests = { now: () => performance.now(), sleep }) {
    this.#factor = factor;
    this.#rests = rests;
  }

  /** Called at the end of a piece of work that began at `startedMs`; returns when it may end. */
  rest(startedMs: number): void {
    if (this.#factor <= 1) return;
    const { now } = this.#rests;
    if (this.#unhindered.length < UNHINDERED) {
      this.#unhindered.push(now() - startedMs);
      return;
    }
    const meantMs = this.#factor * median(this.#unhindered);
    const restMs = meantMs - this.#lateMs - (now() - startedMs);
    if (restMs > 0) this.#rests.sleep(restMs);
    // A core that others took for long is not made up for: no more than one piece is given back.
    this.#lateMs = Math.min(meantMs, this.#lateMs + (now() - startedMs) - meantMs);
  }
}
