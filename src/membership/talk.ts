/** How much a member may say: an honest one says little that it was not asked for. */
import { TokenBucket } from '../base/token-bucket.ts';

/** Messages that it may say unasked at once when it has just come. */
const UNASKED = 40;
/** Beyond that one in so many milliseconds: a heart beats four times a second. */
const REFILL_MS = 100;
/** Messages that it may say for each that it is sent; two would do. */
const ANSWERS = 8;
/** What it may save up: what a slow worker answers at once, or what waited while we slept. */
const MOST = 10_000;

/** Counts what a member says against what it was sent. */
export class Talk {
  readonly #bucket: TokenBucket;
  #asked = 0;

  constructor(nowMs: number) {
    this.#bucket = new TokenBucket(MOST, REFILL_MS, nowMs, UNASKED);
  }

  /** Whether it may say one more thing, after it was sent `messagesSent` in all. */
  mayGoOn(messagesSent: number, nowMs: number): boolean {
    this.#bucket.grant((messagesSent - this.#asked) * ANSWERS);
    this.#asked = messagesSent;
    return this.#bucket.take(nowMs);
  }
}
