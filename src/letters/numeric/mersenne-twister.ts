const SIZE = 624;
const MIDDLE = 397;
const UPPER = 0x80000000;
const LOWER = 0x7fffffff;

/**
 * The Mersenne Twister as `numpy.random.seed` starts it: only for results that numpy's numbers must
 * begin.
 *
 * Source: Matsumoto and Nishimura 1998 (MT19937, `init_genrand`); checked against numpy.
 */
export class MersenneTwister {
  readonly #state = new Uint32Array(SIZE);
  #next = SIZE;

  constructor(seed: number) {
    let word = seed >>> 0;
    this.#state[0] = word;
    for (let i = 1; i < SIZE; i++) {
      word = (Math.imul(1_812_433_253, word ^ (word >>> 30)) + i) >>> 0;
      this.#state[i] = word;
    }
  }

  /** The next float64 in [0, 1), with 53 random bits: numpy's `random_sample`. */
  uniform(): number {
    const high = this.#word() >>> 5;
    const low = this.#word() >>> 6;
    return (high * 0x4000000 + low) / 0x20000000000000;
  }

  #word(): number {
    if (this.#next === SIZE) this.#twist();
    let y = this.#state[this.#next++] ?? 0;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  #twist(): void {
    const state = this.#state;
    const at = (i: number): number => state[i % SIZE] ?? 0;
    for (let i = 0; i < SIZE; i++) {
      const y = (at(i) & UPPER) | (at(i + 1) & LOWER);
      state[i] = at(i + MIDDLE) ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    this.#next = 0;
  }
}
