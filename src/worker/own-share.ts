/**
 * What this worker has computed of a pass whose sums stay with the workers. As a rule that is one
 * sum, which lies in the engine's memory. Where more is computed after it, it is put where the total
 * will be, which is free until all have added up: sums of any length take no memory besides the
 * engine's and what the collective has.
 */
import type { MicroBatchRecord } from '../protocol/messages.ts';

/** Records and sum of a pass, from all that the engine has finished of it. */
export class OwnShare {
  readonly #spare: () => Uint8Array | undefined;
  #records: readonly MicroBatchRecord[] = [];
  /** The only sum so far, or the last one, in memory of the engine's. */
  #lent: Uint8Array | undefined;
  /** The sum of all before. */
  #kept: Uint8Array | undefined;
  #isGiven = false;
  /** Where sums are kept if the engine has no memory to spare. */
  #own = new Uint8Array(0);
  #zeros = new Uint8Array(0);

  /** `spare` gives memory of the engine's that nothing else needs before the total of the pass. */
  constructor(spare: () => Uint8Array | undefined) {
    this.#spare = spare;
  }

  /** Records of everything that is done. */
  get records(): readonly MicroBatchRecord[] {
    return this.#records;
  }

  /** Whether the sum was asked for: from then on the engine is to compute no more of the pass. */
  get isGiven(): boolean {
    return this.#isGiven;
  }

  /** Whether a part of it lies in memory that is the engine's, where the total will be. */
  get isInSpare(): boolean {
    return this.#kept !== undefined && this.#kept !== this.#own;
  }

  /** Begins another pass. */
  clear(): void {
    this.#records = [];
    this.#lent = this.#kept = undefined;
    this.#isGiven = false;
  }

  /** Takes in finished micro-batches; `sum` stays unchanged until `secure` is called. */
  add(records: readonly MicroBatchRecord[], sum: Uint8Array): void {
    this.#records = [...this.#records, ...records];
    this.secure();
    this.#lent = sum;
  }

  /** The engine is about to compute more, in the memory of the sum that it has lent. */
  secure(): void {
    const lent = this.#lent;
    if (lent === undefined) return;
    this.#lent = undefined;
    if (this.#kept !== undefined) return addInto(this.#kept, lent);
    this.#kept = this.#placeFor(lent.length);
    this.#kept.set(lent);
  }

  /** The sum of all that is done, `byteLength` bytes; it stays unchanged until `clear`. */
  sum(byteLength: number): Uint8Array {
    this.#isGiven = true;
    if (this.#kept !== undefined) this.secure();
    const sum = this.#kept ?? this.#lent;
    if (sum !== undefined) return sum;
    if (this.#zeros.length !== byteLength) this.#zeros = new Uint8Array(byteLength);
    return this.#zeros;
  }

  #placeFor(byteLength: number): Uint8Array {
    const spare = this.#spare();
    if (spare?.length === byteLength) return spare;
    if (this.#own.length !== byteLength) this.#own = new Uint8Array(byteLength);
    return this.#own;
  }
}

/** Adds int32 numbers, modulo 2^32, to those of `target`. */
function addInto(target: Uint8Array, sum: Uint8Array): void {
  const to = new Int32Array(target.buffer, target.byteOffset, target.length / 4);
  const from = new Int32Array(sum.buffer, sum.byteOffset, sum.length / 4);
  for (let i = 0; i < to.length; i++) to[i] = (to[i] ?? 0) + (from[i] ?? 0);
}
