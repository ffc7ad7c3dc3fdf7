import { RandomWords } from '../../src/base/random.ts';

/** A stream of small choices for one history. */
export class Choices {
  readonly #words: RandomWords;
  #next = 0;

  constructor(seed: number) {
    this.#words = new RandomWords(seed, 'synthetic', 99);
  }

  below(bound: number): number {
    return this.#words.below(this.#next++, bound);
  }

  between(low: number, high: number): number {
    return low + this.#words.uniform(this.#next++) * (high - low);
  }

  /** Between `low` and `high`, every order of magnitude as likely as the others. */
  magnitude(low: number, high: number): number {
    return low * (high / low) ** this.#words.uniform(this.#next++);
  }

  chance(probability: number): boolean {
    return this.#words.uniform(this.#next++) < probability;
  }
}
