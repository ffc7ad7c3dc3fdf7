import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import * as fc from 'fast-check';
import { generateKernelBytes, KERNEL_BYTES_FILE } from '../../scripts/build-kernels.ts';
import { PURPOSES, RandomWords } from '../base/random.ts';
import { Arena } from './arena.ts';
import { type Kernels, loadKernels } from './kernels.ts';

const LENGTHS = [4, 8, 12, 16, 20, 48, 64, 1024, 1028];
const f = Math.fround;
const SMALLEST_NORMAL = 2 ** -126;

/** Values at which rounding, saturation, infinities and subnormals show. */
const EDGES = [
  [0, -0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.5, 1e-40, -1e-40, SMALLEST_NORMAL, -SMALLEST_NORMAL],
  [
    2 ** 23 + 0.5,
    2 ** 24 + 2,
    2147483520,
    2147483648,
    -2147483648,
    4e9,
    -4e9,
    3.4e38,
    -3.4e38,
    1e-20,
  ],
]
  .flat()
  .map(f);

class Bench {
  readonly arena: Arena;
  readonly kernels: Kernels;

  constructor(length: number, shared: boolean) {
    const byteLength = 4 * length;
    this.arena = new Arena(
      ['a', 'b', 'c', 'd'].map((name) => ({ name, byteLength })),
      { shared },
    );
    this.kernels = loadKernels(this.arena.memory, shared);
  }

  at(name: string): number {
    return this.arena.byteOffset(name);
  }

  floats(name: string, values: ArrayLike<number>): Float32Array {
    const view = this.arena.float32(name);
    view.set(values);
    return view;
  }

  integers(name: string, values: ArrayLike<number>): Int32Array {
    const view = this.arena.int32(name);
    view.set(values);
    return view;
  }
}

/** Floats of many magnitudes with the edge values strewn in. */
function someFloats(length: number, seed: number, edges: readonly number[] = EDGES): Float32Array {
  const words = new RandomWords(seed, 'synthetic', length);
  return Float32Array.from({ length }, (_, i) => {
    const edge = edges[words.below(3 * i, 3 * edges.length + 3)];
    if (edge !== undefined) return edge;
    return (words.uniform(3 * i + 1) - 0.5) * 2 ** (words.below(3 * i + 2, 40) - 20);
  });
}

function someIntegers(length: number, seed: number): Int32Array {
  const words = new RandomWords(seed, 'synthetic', length, 1);
  return Int32Array.from({ length }, (_, i) => words.word(2 * i) >> words.below(2 * i + 1, 32));
}

function nearestEven(x: number): number {
  const below = Math.floor(x);
  const above = x - below;
  if (above !== 0.5) return Math.round(x);
  return below % 2 === 0 ? below : below + 1;
}

function toInt32(x: number): number {
  if (Number.isNaN(x)) return 0;
  return Math.max(-2147483648, Math.min(2147483647, nearestEven(x)));
}

function flushed(x: number): number {
  return Math.abs(x) < SMALLEST_NORMAL ? 0 : x;
}

/** Float32 bits, except that all NaN are alike: WebAssembly leaves their sign and payload open. */
function bitsOf(values: ArrayLike<number>): number[] {
  const floats = Float32Array.from(values);
  const words = new Uint32Array(floats.buffer);
  return Array.from(words, (word, i) => (Number.isNaN(floats[i]) ? 0x7fc00000 : word));
}

function sameBits(actual: Float32Array, expected: ArrayLike<number>): void {
  assert.deepEqual(bitsOf(actual), bitsOf(expected));
}

describe('generateKernelBytes', () => {
  test('gives the committed module from the committed sources', () => {
    assert.equal(generateKernelBytes(), readFileSync(KERNEL_BYTES_FILE, 'utf8'));
  });
});

for (const shared of [false, true]) {
  describe(`loadKernels, ${shared ? 'shared' : 'unshared'} memory`, () => {
    let bench: Bench;
    before(() => {
      bench = new Bench(Math.max(...LENGTHS), shared);
    });

    test(
      'quantizeAdd rounds ties to even, saturates, adds modulo 2^32 and gives the largest ' +
        'magnitude',
      () => {
        for (const length of LENGTHS) {
          for (const scale of [1, 2 ** 16, 2 ** -3]) {
            const gradient = someFloats(length, 1);
            const sums = someIntegers(length, 2);
            bench.floats('a', gradient);
            const accumulator = bench.integers('b', sums);

            const largest = bench.kernels.quantizeAdd(bench.at('a'), bench.at('b'), length, scale);

            const expected = sums.map((sum, i) => (sum + toInt32(f(gradient[i]! * scale))) | 0);
            assert.deepEqual(accumulator.subarray(0, length), expected);
            assert.equal(largest, Math.max(...gradient.map(Math.abs)));
          }
        }
      },
    );

    test(
      'quantizeAdd and maxAbs give Infinity or NaN wherever the gradient holds one, NaN before ' +
        'Infinity',
      () => {
        for (let i = 0; i < 20; i++) {
          for (const bad of [Infinity, -Infinity, NaN]) {
            const values = new Float32Array(20).fill(3e38);
            values[i] = bad;
            values[(i + 7) % 20] = bad === -Infinity ? bad : -Infinity;
            bench.floats('a', values);
            const accumulator = bench.integers('b', new Int32Array(20));

            const largest = bench.kernels.quantizeAdd(bench.at('a'), bench.at('b'), 20, 1);

            assert.equal(largest, Math.abs(bad));
            assert.equal(bench.kernels.maxAbs(bench.at('a'), 20), Math.abs(bad));
            assert.equal(
              accumulator[i],
              Number.isNaN(bad) ? 0 : bad > 0 ? 2147483647 : -2147483648,
            );
          }
        }
      },
    );

    test('a negative NaN is a NaN too', () => {
      const values = bench.floats('a', new Float32Array(4));
      new Uint32Array(values.buffer, values.byteOffset, 4)[2] = 0xffc00001;

      assert.equal(bench.kernels.maxAbs(bench.at('a'), 4), NaN);
    });

    test('addInt32 adds modulo 2^32', () => {
      for (const length of LENGTHS) {
        const a = someIntegers(length, 3);
        const b = someIntegers(length, 4);
        const target = bench.integers('a', a);
        bench.integers('b', b);

        bench.kernels.addInt32(bench.at('a'), bench.at('b'), length);

        assert.deepEqual(
          target.subarray(0, length),
          a.map((x, i) => (x + b[i]!) | 0),
        );
      }
    });

    test('dequantize rounds the integer to float32, then the product', () => {
      for (const length of LENGTHS) {
        for (const factor of [2 ** -20, 1e-7, 1e-45]) {
          const totals = someIntegers(length, 5);
          bench.integers('a', totals);

          bench.kernels.dequantize(bench.at('a'), bench.at('b'), length, factor);

          sameBits(
            bench.arena.float32('b').subarray(0, length),
            [...totals].map((x) => f(f(x) * f(factor))),
          );
        }
      }
    });

    test('sumOfSquares adds four lanes in rising order, then (0 + 1) + (2 + 3)', () => {
      for (const length of LENGTHS) {
        const totals = someIntegers(length, 6);
        bench.integers('a', totals);
        const lanes = [0, 0, 0, 0];
        totals.forEach((x, i) => (lanes[i % 4]! += x * x));

        const sum = bench.kernels.sumOfSquares(bench.at('a'), length);

        assert.equal(sum, lanes[0]! + lanes[1]! + (lanes[2]! + lanes[3]!));
      }
    });

    test('scale rounds each product', () => {
      for (const length of LENGTHS) {
        const values = someFloats(length, 7);
        const target = bench.floats('a', values);

        bench.kernels.scale(bench.at('a'), length, 0.3);

        sameBits(
          target.subarray(0, length),
          values.map((x) => x * f(0.3)),
        );
      }
    });

    test('bytesToFloat32 converts any length from any address', () => {
      for (const length of [0, 1, 3, 4, 5, 16, 17, 255]) {
        const source = bench.arena.uint8('a', { offset: 3, length });
        for (let i = 0; i < length; i++) source[i] = (i * 37) & 255;
        bench.floats('b', new Float32Array(300).fill(7));

        bench.kernels.bytesToFloat32(
          bench.at('a') + 3,
          bench.at('b') + 4,
          length,
          1 / 255,
          -0.1307,
        );

        const expected = [...source].map((x) => f(f(x * f(1 / 255)) + f(-0.1307)));
        sameBits(bench.arena.float32('b').subarray(0, length + 2), [7, ...expected, 7]);
      }
    });

    test('normalise scales and shifts any length from any address', () => {
      for (const length of [0, 1, 3, 4, 5, 16, 17, 255]) {
        const values = someFloats(length, 12);
        const view = bench.floats('a', new Float32Array(300).fill(7)).subarray(0, length + 2);
        view.set(values, 1);

        bench.kernels.normalise(bench.at('a') + 4, length, 0.3, -2.1);

        const expected = Array.from(values, (x) => f(f(x * f(0.3)) + f(-2.1)));
        sameBits(view, [7, ...expected, 7]);
      }
    });

    test('randomMask keeps the words of RandomWords that reach the threshold', () => {
      // The last numbers are beyond 2^31: they are unsigned.
      for (const [seed, step, microBatch, firstBlock, rate] of [
        [1, 0, 0, 0, 0.1],
        [7, 1234, 5, 400, 0.5],
        [4_000_000_000, 2 ** 32 - 1, 2 ** 31, 2 ** 31 + 1, 0.9],
      ] as const) {
        const words = new RandomWords(seed, 'dropout', step, microBatch);
        const target = bench.floats('a', new Float32Array(1028).fill(7)).subarray(0, 1028);
        const threshold = Math.floor(rate * 2 ** 32);

        bench.kernels.randomMask(
          bench.at('a'),
          1008,
          seed,
          PURPOSES.dropout,
          step,
          microBatch,
          firstBlock,
          threshold,
          3,
        );

        const expected = Array.from({ length: 1008 }, (_, i) =>
          words.word(4 * firstBlock + i) < threshold ? 0 : 3,
        );
        sameBits(target, [...expected, ...new Float32Array(20).fill(7)]);
      }
      assert.throws(
        () => bench.kernels.randomMask(64, 8, 1, 1, 1, 1, 0, 1, 1),
        WebAssembly.RuntimeError,
      );
    });

    test('copyBytes and zeroBytes move and clear exactly the given bytes', () => {
      const source = bench.arena.uint8('a', { offset: 0, length: 8 });
      const target = bench.arena.uint8('b', { offset: 0, length: 8 });
      source.set([1, 2, 3, 4, 5, 6, 7, 8]);
      target.fill(9);

      bench.kernels.copyBytes(bench.at('b') + 1, bench.at('a'), 5);
      bench.kernels.zeroBytes(bench.at('b') + 2, 2);

      assert.deepEqual([...target], [9, 1, 0, 0, 4, 5, 9, 9]);
    });

    test(
      'sgd, momentum, adam and adamw have the bits of plain float32 arithmetic and touch ' +
        'nothing else',
      () => {
        for (const length of LENGTHS) {
          for (const optimizer of SCALAR_OPTIMIZERS) {
            const state = [
              someFloats(length, 8),
              someFloats(length, 9),
              someFloats(length, 10).map(Math.abs),
            ];
            const totals = someIntegers(length, 11);
            const [w, m, v] = [
              bench.floats('a', state[0]!),
              bench.floats('b', state[1]!),
              bench.floats('c', state[2]!),
            ];
            bench.integers('d', totals);
            const guard = [w, m, v].map((view) => view.slice(length));

            optimizer.kernel(bench, length);

            const expected = [...totals].map((t, i) =>
              optimizer.scalar(state[0]![i]!, state[1]![i]!, state[2]![i]!, f(f(t) * f(FACTOR))),
            );
            sameBits(
              w.subarray(0, length),
              expected.map((x) => x[0]),
            );
            sameBits(
              m.subarray(0, length),
              expected.map((x) => x[1]),
            );
            sameBits(
              v.subarray(0, length),
              expected.map((x) => x[2]),
            );
            [w, m, v].forEach((view, i) => sameBits(view.slice(length), guard[i]!));
          }
        }
      },
    );

    test('the optimizers keep NaN and flush subnormal state to zero', () => {
      const m = bench.floats('b', [NaN, 1e-40, -1e-40, SMALLEST_NORMAL]);
      const v = bench.floats('c', [NaN, 1e-40, 1.5e-38, SMALLEST_NORMAL]);
      const w = bench.floats('a', [1, 2, 3, 4]);
      bench.integers('d', [0, 0, 0, 0]);

      bench.kernels.adam(
        bench.at('a'),
        bench.at('b'),
        bench.at('c'),
        bench.at('d'),
        4,
        1,
        0.5,
        0.5,
        1e-8,
        1e-3,
        1,
        0,
      );

      sameBits(m.subarray(0, 4), [NaN, 0, 0, 0]);
      sameBits(v.subarray(0, 4), [NaN, 0, 0, 0]);
      sameBits(w.subarray(0, 4), [NaN, 2, 3, 4]);
    });

    test('does nothing for length 0 and traps for a length that is no multiple of 4', () => {
      const { kernels } = bench;
      const untouched = bench.arena.uint8('a').slice();

      assert.equal(kernels.quantizeAdd(64, 64, 0, 1), 0);
      assert.equal(kernels.maxAbs(64, 0), 0);
      assert.equal(kernels.sumOfSquares(64, 0), 0);
      kernels.scale(64, 0, 2);
      assert.throws(() => kernels.scale(64, 6, 2), WebAssembly.RuntimeError);

      assert.deepEqual(bench.arena.uint8('a'), untouched);
    });
  });
}

const FACTOR = 1e-7;
const LR = 0.013;
const DECAY = 0.01;
const [BETA1, BETA2, EPSILON, STEP, CORRECTION] = [0.9, 0.999, 1e-8, 0.0021, 0.07];

interface ScalarOptimizer {
  kernel(bench: Bench, length: number): void;
  /** (w, m, v, g) to (w, m, v), with one rounding per operation. */
  scalar(w: number, m: number, v: number, g: number): [number, number, number];
}

type AdamArguments = Parameters<Kernels['adam']> extends [...infer Head, number] ? Head : never;

function adamArguments(bench: Bench, length: number): AdamArguments {
  const pointers = [bench.at('a'), bench.at('b'), bench.at('c'), bench.at('d')] as const;
  return [...pointers, length, FACTOR, BETA1, BETA2, EPSILON, STEP, CORRECTION];
}

function scalarAdam(decay: number, decayFactor: number): ScalarOptimizer['scalar'] {
  return (w, m0, v0, raw) => {
    const g = f(raw + f(f(decay) * w));
    const m = flushed(f(f(m0 * f(BETA1)) + f(f(1 - BETA1) * g)));
    const v = flushed(f(f(v0 * f(BETA2)) + f(f(f(1 - BETA2) * g) * g)));
    const quotient = f(m / f(f(Math.sqrt(v)) + f(EPSILON * CORRECTION)));
    return [f(f(w * f(decayFactor)) - f(f(STEP * CORRECTION) * quotient)), m, v];
  };
}

function momentumCase(nesterov: boolean): ScalarOptimizer {
  return {
    kernel: (bench, length) =>
      bench.kernels.momentum(
        bench.at('a'),
        bench.at('b'),
        bench.at('d'),
        length,
        FACTOR,
        LR,
        0.9,
        0.1,
        nesterov ? 1 : 0,
        DECAY,
      ),
    scalar: (w, m0, v, raw) => {
      const g = f(raw + f(f(DECAY) * w));
      const m = flushed(f(f(m0 * f(0.9)) + f(f(1 - 0.1) * g)));
      const direction = nesterov ? f(g + f(f(0.9) * m)) : m;
      return [f(w - f(f(LR) * direction)), m, v];
    },
  };
}

const SCALAR_OPTIMIZERS: readonly ScalarOptimizer[] = [
  {
    kernel: (bench, length) =>
      bench.kernels.sgd(bench.at('a'), bench.at('d'), length, FACTOR, LR, DECAY),
    scalar: (w, m, v, raw) => [f(w - f(f(LR) * f(raw + f(f(DECAY) * w)))), m, v],
  },
  momentumCase(false),
  momentumCase(true),
  {
    kernel: (bench, length) => bench.kernels.adam(...adamArguments(bench, length), DECAY),
    scalar: scalarAdam(DECAY, 1),
  },
  {
    kernel: (bench, length) => bench.kernels.adamw(...adamArguments(bench, length), 0.99987),
    scalar: scalarAdam(0, 0.99987),
  },
];

describe('quantizeAdd', () => {
  test('gives the same sums in whatever order gradients come, and however they are grouped', () => {
    const length = 64;
    const bench = new Bench(length, false);
    const gradients = fc.array(
      fc.array(fc.float({ min: -8, max: 8, noNaN: true }), {
        minLength: length,
        maxLength: length,
      }),
      { minLength: 1, maxLength: 7 },
    );

    fc.assert(
      fc.property(gradients, fc.integer(), fc.nat(7), (all, seed, cut) => {
        const order = new RandomWords(seed, 'shuffle');
        const shuffled = all
          .map((gradient, i) => ({ gradient, key: order.word(i) }))
          .sort((x, y) => x.key - y.key)
          .map(({ gradient }) => gradient);

        const forwards = sumQuantized(bench, [all]);
        const grouped = sumQuantized(bench, [shuffled.slice(0, cut), shuffled.slice(cut)]);

        assert.deepEqual(grouped, forwards);
      }),
      { numRuns: 50 },
    );
  });
});

/** Quantizes each group into an accumulator of its own and adds the accumulators. */
function sumQuantized(bench: Bench, groups: readonly (readonly number[][])[]): Int32Array {
  const length = bench.arena.float32('a').length;
  const total = bench.integers('c', new Int32Array(length));
  for (const group of groups) {
    bench.integers('b', new Int32Array(length));
    for (const gradient of group) {
      bench.floats('a', gradient);
      bench.kernels.quantizeAdd(bench.at('a'), bench.at('b'), length, 2 ** 20);
    }
    bench.kernels.addInt32(bench.at('c'), bench.at('b'), length);
  }
  return total.slice();
}

describe('checksum', () => {
  const length = 48;
  const bench = new Bench(length, false);
  const expected = (values: ArrayLike<number>, position: number): number =>
    Array.from(values).reduce(
      (sum, value, i) => (sum + Math.imul(value, Math.imul(position + i, 0x9e3779b1) | 1)) | 0,
      0,
    );

  test('is the sum of elements times odd numbers that depend on their places', () => {
    const words = new RandomWords(5, 'synthetic');
    const values = bench.integers(
      'a',
      Int32Array.from({ length }, (_, i) => words.word(i)),
    );

    for (const position of [0, 4, 1000])
      assert.equal(
        bench.kernels.checksum(bench.at('a'), length, position),
        expected(values, position),
      );
  });

  test('of a gradient is that of what quantizeAdd adds, edge values included', () => {
    for (const scale of [1, 2 ** 20, 2 ** -10]) {
      bench.floats('a', someFloats(length, 7));
      const sums = bench.integers('b', new Int32Array(length));
      bench.kernels.quantizeAdd(bench.at('a'), bench.at('b'), length, scale);

      const checksum = bench.kernels.gradientChecksum(bench.at('a'), length, scale, 8);
      assert.equal(checksum, expected(sums, 8));
      assert.notEqual(checksum, 0);
    }
  });

  test('differs when any one element does, in whatever bit', () => {
    const values = bench.integers('a', new Int32Array(length).fill(12345));
    const unchanged = bench.kernels.checksum(bench.at('a'), length, 0);
    for (let i = 0; i < length; i++) {
      for (let bit = 0; bit < 32; bit++) {
        values[i] = values[i]! ^ (1 << bit);
        assert.notEqual(bench.kernels.checksum(bench.at('a'), length, 0), unchanged);
        values[i] = values[i]! ^ (1 << bit);
      }
    }
  });
});
