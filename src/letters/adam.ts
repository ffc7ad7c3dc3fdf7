const BETA_1 = 0.9;
const BETA_2 = 0.999;
const EPSILON = 1e-8;

/** Adam over one flat float64 array. Source: Kingma and Ba 2015, algorithm 1. */
export class Adam {
  readonly #parameters: Float64Array;
  readonly #mean: Float64Array;
  readonly #square: Float64Array;
  #power1 = 1;
  #power2 = 1;

  /** Starts from a copy of `start`. */
  constructor(start: Float64Array) {
    this.#parameters = start.slice();
    this.#mean = new Float64Array(start.length);
    this.#square = new Float64Array(start.length);
  }

  /** The parameters after one more step; `downhill` is minus the gradient, summed over `count` rows. */
  step(downhill: Float64Array, count: number, rate: number): Float64Array {
    this.#power1 *= BETA_1;
    this.#power2 *= BETA_2;
    const parameters = this.#parameters;
    for (let i = 0; i < parameters.length; i++) {
      const g = (downhill[i] ?? 0) / count;
      const mean = BETA_1 * (this.#mean[i] ?? 0) + (1 - BETA_1) * g;
      const square = BETA_2 * (this.#square[i] ?? 0) + (1 - BETA_2) * g * g;
      this.#mean[i] = mean;
      this.#square[i] = square;
      const scale = Math.sqrt(square / (1 - this.#power2)) + EPSILON;
      parameters[i] = (parameters[i] ?? 0) + (rate * (mean / (1 - this.#power1))) / scale;
    }
    return parameters;
  }
}
