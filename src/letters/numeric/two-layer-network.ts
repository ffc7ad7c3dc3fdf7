/**
 * A network with one hidden layer, in float64: forwards and backwards, tile by tile of its rows.
 */
import { invariant } from '../../base/errors.ts';
import { instantiateLettersKernels, type LettersKernels } from './kernels.ts';
import { type NetworkShape, outputWeightCount, parameterCount } from './parameters.ts';
import type { Recipe } from './recipe.ts';

/** Rows in a tile: everything between the layers stays in the first-level cache. */
const TILE = 64;
/** The memory's first bytes belong to the tables of the kernels (exp, log). */
const RESERVED_BYTES = 64 << 10;
const PAGE_BYTES = 64 << 10;

/** Rows as the network takes them. */
export interface Rows {
  readonly count: number;
  /** [count, features], row-major. */
  readonly x: Float64Array;
  /** [count]: the class of each row. */
  readonly labels: Uint8Array;
}

/** What one pass over rows found. */
export interface PassTotals {
  /** Sum over rows of -log(p + 1e-6), where p is the probability given to the right class. */
  readonly crossEntropy: number;
  readonly wrong: number;
}

/** Matrices lie in the memory with columns up to a multiple of 4; what is added stays 0. */
const padded = (count: number): number => (count + 3) & ~3;

/** The network in WebAssembly memory of its own, with room for the rows of one file. */
export class TwoLayerNetwork {
  readonly shape: NetworkShape;
  readonly #activation: Recipe['activation'];
  readonly #memory: WebAssembly.Memory;
  readonly #kernels: LettersKernels;
  #floats: Float64Array;
  #end = RESERVED_BYTES;
  /** Row lengths in memory: of 1 and the inputs, the hidden layer, 1 and that, the classes. */
  readonly #inputStride: number;
  readonly #hiddenStride: number;
  readonly #biasedStride: number;
  readonly #classStride: number;
  readonly #at: {
    readonly v: number;
    readonly w: number;
    readonly vGradient: number;
    readonly wGradient: number;
    readonly vTransposed: number;
    readonly hidden: number;
    readonly output: number;
    readonly hiddenGradient: number;
    readonly totals: number;
  };
  #rows = 0;
  #capacity = 0;
  #x = 0;
  #labels = 0;

  constructor(shape: NetworkShape, activation: Recipe['activation']) {
    this.shape = shape;
    this.#activation = activation;
    this.#memory = new WebAssembly.Memory({
      initial: RESERVED_BYTES / PAGE_BYTES,
      maximum: 65_536,
    });
    this.#kernels = instantiateLettersKernels(this.#memory);
    this.#floats = new Float64Array(this.#memory.buffer);
    this.#inputStride = padded(shape.features + 1);
    this.#hiddenStride = padded(shape.hidden);
    this.#biasedStride = this.#hiddenStride + 4;
    this.#classStride = padded(shape.classes);
    const vSize = this.#biasedStride * this.#classStride;
    const wSize = this.#inputStride * this.#hiddenStride;
    this.#at = {
      v: this.#allocate(vSize),
      w: this.#allocate(wSize),
      vGradient: this.#allocate(vSize),
      wGradient: this.#allocate(wSize),
      vTransposed: this.#allocate(shape.classes * this.#hiddenStride),
      hidden: this.#allocate(TILE * this.#biasedStride),
      output: this.#allocate(TILE * this.#classStride),
      hiddenGradient: this.#allocate(TILE * this.#hiddenStride),
      totals: this.#allocate(2),
    };
    for (let row = 0; row < TILE; row++)
      this.#floats[this.#at.hidden / 8 + row * this.#biasedStride] = 1;
  }

  /** Takes parameters in the order of parameters.ts. */
  setParameters(parameters: Float64Array): void {
    invariant(parameters.length === parameterCount(this.shape), 'parameters of another shape');
    this.#eachRow(this.#at.v, this.#at.w, (from, place) =>
      place.set(parameters.subarray(from, from + place.length)),
    );
  }

  /** The parameters, in a new array. */
  parameters(): Float64Array {
    return this.#gather(this.#at.v, this.#at.w);
  }

  /** Minus the gradient that the last `accumulate` summed, in the order of the parameters. */
  downhill(): Float64Array {
    return this.#gather(this.#at.vGradient, this.#at.wGradient);
  }

  /**
   * Lets `move` change the parameters in place. Both arrays are in the order of the memory, with
   * zeros between rows; `downhill` is minus the gradient that the last `accumulate` summed.
   */
  update(move: (parameters: Float64Array, downhill: Float64Array) => void): void {
    const { v, vGradient } = this.#at;
    // V and W lie one behind the other, and so do their gradients.
    const count = (vGradient - v) / 8;
    move(
      this.#floats.subarray(v / 8, v / 8 + count),
      this.#floats.subarray(vGradient / 8, vGradient / 8 + count),
    );
  }

  /** Copies rows in; with `order`, row i is that of `order[i]`. They replace what was there. */
  setRows(rows: Rows, order?: Uint32Array): void {
    this.#reserveRows(rows.count);
    const { features } = this.shape;
    const stride = this.#inputStride;
    const labels = new Uint8Array(this.#memory.buffer, this.#labels, rows.count);
    for (let row = 0; row < rows.count; row++) {
      const from = order?.[row] ?? row;
      const to = this.#x / 8 + row * stride;
      this.#floats[to] = 1;
      this.#floats.set(rows.x.subarray(from * features, (from + 1) * features), to + 1);
      labels[row] = rows.labels[from] ?? 0;
    }
    this.#rows = rows.count;
  }

  /** Computes the gradient over rows `from` to `to`, summed; `from` is a multiple of 4. */
  accumulate(from: number, to: number): PassTotals {
    const { v, vGradient, wGradient, vTransposed, totals } = this.#at;
    invariant(from % 4 === 0 && to <= this.#rows, 'rows that are not there');
    this.#zero(vGradient, this.#biasedStride * this.#classStride);
    this.#zero(wGradient, this.#inputStride * this.#hiddenStride);
    this.#zero(totals, 2);
    const { hidden, classes } = this.shape;
    this.#kernels.transpose(
      vTransposed,
      v + this.#classStride * 8,
      hidden,
      classes,
      this.#hiddenStride,
      this.#classStride,
    );
    for (let row = from; row < to; row += TILE) this.#backward(row, Math.min(TILE, to - row));
    return this.#readTotals();
  }

  /** The share of all rows that are classified wrong (0..1), and their summed cross-entropy. */
  evaluate(): PassTotals & { readonly errorRate: number } {
    this.#zero(this.#at.totals, 2);
    for (let row = 0; row < this.#rows; row += TILE) {
      const count = Math.min(TILE, this.#rows - row);
      this.#forward(row, padded(count));
      this.#residual(row, count);
    }
    const totals = this.#readTotals();
    return { ...totals, errorRate: this.#rows === 0 ? 0 : totals.wrong / this.#rows };
  }

  #forward(row: number, count: number): void {
    const { v, w, hidden, output } = this.#at;
    const { features } = this.shape;
    const x = this.#x + row * this.#inputStride * 8;
    const columns = this.#hiddenStride;
    this.#kernels.multiply(
      hidden + 8,
      x,
      w,
      count,
      features + 1,
      columns,
      this.#biasedStride,
      this.#inputStride,
    );
    if (this.#activation === 'relu')
      this.#kernels.relu(hidden + 8, count, columns, this.#biasedStride);
    this.#kernels.multiply(
      output,
      hidden,
      v,
      count,
      this.shape.hidden + 1,
      this.#classStride,
      this.#classStride,
      this.#biasedStride,
    );
  }

  #residual(row: number, count: number): void {
    const { output, totals } = this.#at;
    const { classes } = this.shape;
    this.#kernels.softmaxResidual(
      output,
      this.#labels + row,
      count,
      classes,
      this.#classStride,
      totals,
    );
  }

  #backward(row: number, count: number): void {
    const { vGradient, wGradient, vTransposed, hidden, output, hiddenGradient } = this.#at;
    const rows = padded(count);
    this.#forward(row, rows);
    this.#residual(row, count);
    // Rows that only fill the tile up have no part in any sum.
    this.#zero(output + count * this.#classStride * 8, (rows - count) * this.#classStride);
    const kernels = this.#kernels;
    const columns = this.#hiddenStride;
    kernels.multiply(
      hiddenGradient,
      output,
      vTransposed,
      rows,
      this.shape.classes,
      columns,
      columns,
      this.#classStride,
    );
    const isStrict = this.#activation === 'relu' ? 1 : 0;
    kernels.maskNegative(hiddenGradient, hidden + 8, rows, columns, this.#biasedStride, isStrict);
    kernels.addTransposedProduct(
      vGradient,
      hidden,
      output,
      rows,
      this.#biasedStride,
      this.#classStride,
    );
    const x = this.#x + row * this.#inputStride * 8;
    kernels.addTransposedProduct(wGradient, x, hiddenGradient, rows, this.#inputStride, columns);
  }

  #readTotals(): PassTotals {
    const at = this.#at.totals / 8;
    return { crossEntropy: this.#floats[at] ?? 0, wrong: this.#floats[at + 1] ?? 0 };
  }

  #reserveRows(count: number): void {
    if (count <= this.#capacity) return;
    this.#capacity = padded(count);
    // What was reserved for fewer rows lies at the end and is given up.
    if (this.#x !== 0) this.#end = this.#x;
    this.#x = this.#allocate(this.#capacity * this.#inputStride);
    this.#labels = this.#allocate(Math.ceil(this.#capacity / 8));
    this.#zero(this.#x, this.#capacity * this.#inputStride);
  }

  #allocate(count: number): number {
    const start = this.#end;
    this.#end = Math.ceil((start + count * 8) / 16) * 16;
    const missing = this.#end - this.#memory.buffer.byteLength;
    if (missing > 0) {
      this.#memory.grow(Math.ceil(missing / PAGE_BYTES));
      this.#floats = new Float64Array(this.#memory.buffer);
    }
    return start;
  }

  #zero(pointer: number, count: number): void {
    this.#floats.fill(0, pointer / 8, pointer / 8 + count);
  }

  #gather(v: number, w: number): Float64Array {
    const result = new Float64Array(parameterCount(this.shape));
    this.#eachRow(v, w, (from, place) => result.set(place, from));
    return result;
  }

  /**
   * Calls `visit` for every row of two matrices shaped as V and W: where it starts among the
   * parameters, its place.
   */
  #eachRow(v: number, w: number, visit: (from: number, place: Float64Array) => void): void {
    const { features, hidden, classes } = this.shape;
    for (let row = 0; row <= hidden; row++) {
      const at = v / 8 + row * this.#classStride;
      visit(row * classes, this.#floats.subarray(at, at + classes));
    }
    const start = outputWeightCount(this.shape);
    for (let row = 0; row <= features; row++) {
      const at = w / 8 + row * this.#hiddenStride;
      visit(start + row * hidden, this.#floats.subarray(at, at + hidden));
    }
  }
}
