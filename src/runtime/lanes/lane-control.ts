/**
 * What the threads of a worker share besides numbers: the lease table, a barrier, wake-up calls and
 * the progress counter, all in one shared Int32Array.
 */
import { RuntimeError } from '../../base/errors.ts';

/** Where the progress counter lies in the words that lanes share. */
const PROGRESS = 0;
const BARRIER_COUNT = 1;
const BARRIER_PHASE = 2;
/** Where the number of lanes lies that sleep, in the words that lanes share. */
const ASLEEP = 3;
/** Where the number of lanes lies, in the words that lanes share. */
const LANES = 4;
/** Counts how often what the lanes were told became void. */
const ERA = 5;
const AGREED = 6;
const FIXED = 7;

/** State of one micro-batch in the worker's lease table. */
const NOT_LEASED = 0;
const AVAILABLE = 1;
const STARTED = 2;

/**
 * Lanes reach a barrier within one micro-batch of each other, which may be long; longer means that
 * one is gone.
 */
const BARRIER_TIMEOUT_MS = 3_600_000;

/** What a heartbeat tells of the lanes whose shared words are `words`. */
export function laneSigns(words: Int32Array): {
  readonly progress: number;
  readonly busyLanes: number;
} {
  const busyLanes = Atomics.load(words, LANES) - Atomics.load(words, ASLEEP);
  return { progress: Atomics.load(words, PROGRESS), busyLanes: Math.max(0, busyLanes) };
}

/** Turns of a spin: about 50 us. */
const SPIN_TURNS = 10_000;
/** The same for looks at what other processes do, between two looks at the clock. */
const LOOKS = 50;
const LOOK_MS = 0.05;
/** How long one sleeps that nobody can wake: a part of the time for which it has waited. */
const NAP_PART = 0.2;
const SHORTEST_NAP_MS = 0.1;
const LONGEST_NAP_MS = 2;

/** A view of the shared words; the pool and every lane have one of their own. */
export class LaneControl {
  readonly words: Int32Array<SharedArrayBuffer>;
  readonly #laneCount: number;
  readonly #table: number;
  /** A word that nobody changes. */
  readonly #bed = new Int32Array(new SharedArrayBuffer(4));

  /**
   * `words` of another thread, or fresh ones for `laneCount` lanes and up to `microBatchCount`
   * micro-batches per pass.
   */
  constructor(laneCount: number, microBatchCount: number, words?: Int32Array<SharedArrayBuffer>) {
    this.#laneCount = laneCount;
    this.#table = FIXED + laneCount;
    this.words =
      words ?? new Int32Array(new SharedArrayBuffer(4 * (this.#table + microBatchCount)));
    this.words[LANES] = laneCount;
  }

  // ---- the pool's side ----

  /** What was told to be done in `era` counts as long as that lasts. */
  get era(): number {
    return Atomics.load(this.words, ERA);
  }

  /** Voids all leases, and ends the era: nothing more of the pass is started. */
  clear(): void {
    Atomics.add(this.words, ERA, 1);
    for (let slot = this.#table; slot < this.words.length; slot++)
      Atomics.store(this.words, slot, NOT_LEASED);
  }

  lease(microBatches: readonly number[]): void {
    for (const microBatch of microBatches)
      Atomics.store(this.words, this.#table + microBatch, AVAILABLE);
  }

  /** Takes back up to `count` micro-batches that no lane has started, from the end. */
  release(count: number): number[] {
    const released: number[] = [];
    for (let slot = this.words.length - 1; slot >= this.#table && released.length < count; slot--) {
      if (Atomics.compareExchange(this.words, slot, AVAILABLE, NOT_LEASED) === AVAILABLE)
        released.push(slot - this.#table);
    }
    return released;
  }

  hasAvailable(): boolean {
    return this.words.subarray(this.#table).includes(AVAILABLE);
  }

  wake(lane: number): void {
    Atomics.add(this.words, FIXED + lane, 1);
    Atomics.notify(this.words, FIXED + lane);
  }

  get progress(): number {
    return Atomics.load(this.words, PROGRESS);
  }

  // ---- a lane's side ----

  /** Starts the next available micro-batch, or gives undefined. */
  claim(): number | undefined {
    for (let slot = this.#table; slot < this.words.length; slot++) {
      if (
        this.words[slot] === AVAILABLE &&
        Atomics.compareExchange(this.words, slot, AVAILABLE, STARTED) === AVAILABLE
      ) {
        return slot - this.#table;
      }
    }
    return undefined;
  }

  /**
   * Whether `era` lasts, as the first lane finds it, who leases `microBatches` then. Every lane must
   * call it.
   */
  agree(lane: number, era: number, microBatches: readonly number[]): boolean {
    return this.decide(lane, () => {
      const lasts = this.era === era;
      if (lasts) this.lease(microBatches);
      return lasts;
    });
  }

  /** What the first lane finds. Every lane must call it. */
  decide(lane: number, find: () => boolean): boolean {
    if (lane === 0) Atomics.store(this.words, AGREED, find() ? 1 : 0);
    this.barrier();
    const found = Atomics.load(this.words, AGREED) === 1;
    this.barrier();
    return found;
  }

  /**
   * Waits for another process, which wakes nobody, as long as `era` lasts; whether it `isDone`
   * then.
   */
  watch(isDone: () => boolean, era: number): boolean {
    const sinceMs = performance.now();
    for (let waitedMs = 0; this.era === era; waitedMs = performance.now() - sinceMs) {
      for (let look = 0; look < LOOKS; look++) if (isDone()) return true;
      if (waitedMs > LOOK_MS) this.#nap(NAP_PART * waitedMs);
    }
    return isDone();
  }

  #nap(ms: number): void {
    Atomics.add(this.words, ASLEEP, 1);
    Atomics.wait(this.#bed, 0, 0, Math.max(SHORTEST_NAP_MS, Math.min(LONGEST_NAP_MS, ms)));
    Atomics.sub(this.words, ASLEEP, 1);
  }

  countProgress(): void {
    Atomics.add(this.words, PROGRESS, 1);
  }

  wakeCount(lane: number): number {
    return Atomics.load(this.words, FIXED + lane);
  }

  /** Sleeps until `wake` was called more than `seen` times. */
  sleep(lane: number, seen: number): void {
    if (this.#spin(FIXED + lane, seen)) return;
    Atomics.add(this.words, ASLEEP, 1);
    Atomics.wait(this.words, FIXED + lane, seen);
    Atomics.sub(this.words, ASLEEP, 1);
  }

  /**
   * Watches a word for a moment; true once it differs from `seen`. Falling asleep and waking up
   * costs more than that.
   */
  #spin(word: number, seen: number): boolean {
    for (let turn = 0; turn < SPIN_TURNS; turn++) {
      if (Atomics.load(this.words, word) !== seen) return true;
    }
    return false;
  }

  /** Returns when all lanes have called it. Throws RuntimeError when one never does. */
  barrier(): void {
    if (this.#laneCount === 1) return;
    const phase = Atomics.load(this.words, BARRIER_PHASE);
    if (Atomics.add(this.words, BARRIER_COUNT, 1) === this.#laneCount - 1) {
      Atomics.store(this.words, BARRIER_COUNT, 0);
      Atomics.add(this.words, BARRIER_PHASE, 1);
      Atomics.notify(this.words, BARRIER_PHASE);
      return;
    }
    if (this.#spin(BARRIER_PHASE, phase)) return;
    // The call for those of the barrier before may come late, and wake who waits at this one.
    while (Atomics.load(this.words, BARRIER_PHASE) === phase) {
      const ended = Atomics.wait(this.words, BARRIER_PHASE, phase, BARRIER_TIMEOUT_MS);
      if (ended !== 'timed-out') continue;
      throw new RuntimeError(
        `a lane waited ${BARRIER_TIMEOUT_MS / 1000} s for the others. One of them is stuck.`,
      );
    }
  }
}
