/** Tokens that are taken one by one and come back with time. */
export class TokenBucket {
  readonly #most: number;
  readonly #refillMs: number;
  #tokens: number;
  #atMs: number;

  /** Holds `most` tokens; one comes back in `refillMs`. Full in the beginning, or as it is said. */
  constructor(most: number, refillMs: number, nowMs: number, tokens: number = most) {
    this.#most = most;
    this.#refillMs = refillMs;
    this.#atMs = nowMs;
    this.#tokens = tokens;
  }

  /** Adds tokens that time would not bring. */
  grant(tokens: number): void {
    this.#tokens = Math.min(this.#most, this.#tokens + tokens);
  }

  /** Takes a token; false when there is none. */
  take(nowMs: number): boolean {
    this.grant((nowMs - this.#atMs) / this.#refillMs);
    this.#atMs = nowMs;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}
