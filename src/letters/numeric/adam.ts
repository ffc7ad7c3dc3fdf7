const BETA_1 = 0.9;
const BETA_2 = 0.999;
const EPSILON = 1e-8;

/** Adam over one flat float64 array. Source: Kingma and Ba 2015, algorithm 1. */
export class Adam {
  #mean = new Float64Array(0);
  #square = new Float64Array(0);
  #power1 = 1;
  #power2 = 1;

  /** Moves `parameters`, in place; `downhill` is minus the gradient, summed over `count` rows. */
  step(parameters: Float64Array, downhill: Float64Array, count: number, rate: number): void {
    if (this.#mean.length === 0) {
      this.#mean = new Float64Array(parameters.length);
      this.#square = new Float64Array(parameters.length);
    }
    this.#power1 *= BETA_1;
    this.#power2 *= BETA_2;
    const mean = this.#mean;
    const square = this.#square;
    for (let i = 0; i < parameters.length; i++) {
      const g = (downhill[i] ?? 0) / count;
      const m = BETA_1 * (mean[i] ?? 0) + (1 - BETA_1) * g;
      const s = BETA_2 * (square[i] ?? 0) + (1 - BETA_2) * g * g;
      mean[i] = m;
      square[i] = s;
      const size = Math.sqrt(s / (1 - this.#power2)) + EPSILON;
      parameters[i] = (parameters[i] ?? 0) + (rate * (m / (1 - this.#power1))) / size;
    }
  }
}
