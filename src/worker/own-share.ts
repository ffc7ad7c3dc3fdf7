/** What this worker has computed of a pass whose sums stay with the workers. */
import { StarReducer, type Total } from '../collectives/star.ts';
import type { MicroBatchRecord } from '../protocol/messages.ts';

/** Records and sum of a pass, from all that the engine has finished of it. */
export class OwnShare {
  #records: readonly MicroBatchRecord[] = [];
  /** The only sum so far, in memory of the engine's. */
  #lent: Uint8Array | undefined;
  /** Adds up when there are several sums; most passes have one. */
  #reducer: StarReducer | undefined;
  #isAdding = false;
  #total: Total | undefined;
  #zeros = new Uint8Array(0);

  /** Records of everything that is done. */
  get records(): readonly MicroBatchRecord[] {
    return this.#records;
  }

  /** Begins another pass. */
  clear(): void {
    this.#records = [];
    this.#lent = undefined;
    this.#isAdding = false;
    this.#total?.release();
    this.#total = undefined;
  }

  /** Takes in finished micro-batches; `sum` stays unchanged until `secure` is called. */
  add(records: readonly MicroBatchRecord[], sum: Uint8Array): void {
    this.#records = [...this.#records, ...records];
    this.secure();
    if (this.#isAdding) this.#reducer?.add(sum);
    else this.#lent = sum;
  }

  /** The engine is about to compute more, in the memory of the sum that it has lent. */
  secure(): void {
    const lent = this.#lent;
    if (lent === undefined) return;
    this.#lent = undefined;
    this.#reducer ??= new StarReducer(lent.length / 4);
    this.#isAdding = this.#reducer.begin();
    this.#reducer.add(lent);
  }

  /** The sum of all that is done, `byteLength` bytes; it stays unchanged until `clear`. */
  sum(byteLength: number): Uint8Array {
    if (this.#isAdding) {
      this.#isAdding = false;
      this.#total = this.#reducer?.finish();
    }
    const sum = this.#total?.bytes ?? this.#lent;
    if (sum !== undefined) return sum;
    if (this.#zeros.length !== byteLength) this.#zeros = new Uint8Array(byteLength);
    return this.#zeros;
  }
}
