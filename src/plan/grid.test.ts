import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { loadKernels } from '../kernels/kernels.ts';
import { gridExponents, mergeMaxima, nextMaxima, overflowsGrid } from './grid.ts';

const LARGEST_FLOAT32 = 2 ** 128 - 2 ** 104;
const SMALLEST_FLOAT32 = 2 ** -149;
const INT32_LIMIT = 2n ** 31n - 1n;
const LENGTH = 16;

/** Rounds with the kernels that workers use, into sums that start at zero. */
function createRounder() {
  const memory = new WebAssembly.Memory({ initial: 1 });
  const kernels = loadKernels(memory, false);
  const gradient = new Float32Array(memory.buffer, 0, LENGTH);
  const sum = new Int32Array(memory.buffer, 4 * LENGTH, LENGTH);
  return (values: readonly number[], exponent: number): number[] => {
    gradient.fill(0);
    gradient.set(values);
    sum.fill(0);
    kernels.quantizeAdd(gradient.byteOffset, sum.byteOffset, LENGTH, 2 ** exponent);
    return [...sum.subarray(0, values.length)];
  };
}

const round = createRounder();

/** float32 values of every magnitude, extremes among them. */
const someFloat32 = fc.oneof(
  fc.float({ noNaN: true, noDefaultInfinity: true }),
  fc.constantFrom(LARGEST_FLOAT32, -LARGEST_FLOAT32, SMALLEST_FLOAT32, 2 ** -126, 0, -0),
  fc
    .tuple(fc.integer({ min: -149, max: 127 }), fc.integer({ min: -1, max: 1 }))
    .map(([exponent, offset]) => Math.fround(2 ** exponent * (1 + offset * 2 ** -23))),
);
const someMaximum = someFloat32.map(Math.abs);
const someMicroBatchCount = fc.oneof(
  fc.integer({ min: 1, max: 64 }),
  fc.integer({ min: 1, max: 2 ** 20 }),
);

describe('gridExponents', () => {
  test(
    'lets any allowed number of micro-batches be added without leaving int32, up to what counts ' +
      'as overflow',
    () => {
      fc.assert(
        fc.property(
          someMaximum,
          someMicroBatchCount,
          someFloat32,
          (maximum, microBatchCount, element) => {
            const exponents = gridExponents([maximum], microBatchCount);
            fc.pre(!overflowsGrid([Math.abs(element)], exponents, microBatchCount));

            const [rounded] = round([element], exponents[0]!);

            const largestSum = BigInt(microBatchCount) * BigInt(Math.abs(rounded!));
            assert.ok(largestSum <= INT32_LIMIT, `${microBatchCount} times ${rounded}`);
          },
        ),
        { numRuns: 3000 },
      );
    },
  );

  test('has room for gradients eight times as large as expected', () => {
    fc.assert(
      fc.property(someMaximum, someMicroBatchCount, (maximum, microBatchCount) => {
        const exponents = gridExponents([maximum], microBatchCount);
        const grown = Math.min(8 * maximum, LARGEST_FLOAT32);

        assert.equal(overflowsGrid([grown], exponents, microBatchCount), false);
      }),
      { numRuns: 3000 },
    );
  });

  test('gives a step that overflowed a grid on which it fits, so that it is redone once', () => {
    fc.assert(
      fc.property(
        someMaximum,
        someMaximum,
        someMicroBatchCount,
        (expected, observed, microBatchCount) => {
          const retried = nextMaxima([observed], mergeMaxima([observed], [expected]));

          assert.equal(
            overflowsGrid([observed], gridExponents(retried, microBatchCount), microBatchCount),
            false,
          );
        },
      ),
      { numRuns: 3000 },
    );
  });

  test('gives coarser grids, never finer ones, for larger maxima and more micro-batches', () => {
    fc.assert(
      fc.property(
        someMaximum,
        someMaximum,
        someMicroBatchCount,
        someMicroBatchCount,
        (a, b, m, n) => {
          const [coarse] = gridExponents([Math.max(a, b)], Math.max(m, n));
          const [fine] = gridExponents([Math.min(a, b)], Math.min(m, n));

          assert.ok(coarse! <= fine!);
        },
      ),
    );
  });

  test('gives factors that float32 holds exactly, whatever the maxima', () => {
    fc.assert(
      fc.property(someMaximum, someMicroBatchCount, (maximum, microBatchCount) => {
        const [exponent] = gridExponents([maximum], microBatchCount);

        assert.ok(Number.isInteger(exponent));
        assert.ok(
          exponent! >= -126 && exponent! <= 126,
          `2^${exponent} and 2^${-exponent!} are normal`,
        );
      }),
    );
  });

  test('gives the grid that one can compute by hand', () => {
    // 2^31 - 1 over 4 micro-batches leaves 28 whole bits, 3 are headroom, and 0.75 < 2^0.
    assert.deepEqual(gridExponents([0.75, 1.5, 1, 0], 4), [25, 24, 24, 84]);
  });

  test('keeps at least twenty bits of the largest element in a step of 32 micro-batches', () => {
    const [exponent] = gridExponents([0.3], 32);

    assert.ok(0.3 * 2 ** exponent! >= 2 ** 20);
  });
});

describe('overflowsGrid', () => {
  test('tells overflow from no overflow at the very limit', () => {
    const limit = Math.floor((2 ** 31 - 1) / 3);

    assert.equal(overflowsGrid([limit], [0], 3), false);
    assert.equal(overflowsGrid([limit + 1], [0], 3), true);
  });

  test('looks at every tensor with its own exponent', () => {
    const exponents = gridExponents([1, 1e-3, 1e6], 8);

    assert.equal(overflowsGrid([1, 1e-3, 1e6], exponents, 8), false);
    assert.equal(overflowsGrid([1, 1, 1e6], exponents, 8), true);
    assert.equal(overflowsGrid([1, 1e-3, 1e9], exponents, 8), true);
  });
});

describe('sums on the grid', () => {
  test('have the same bits in every order and every grouping, which float32 sums have not', () => {
    const gradients = fc.array(
      fc.array(fc.float({ min: -1, max: 1, noNaN: true }), {
        minLength: LENGTH,
        maxLength: LENGTH,
      }),
      { minLength: 2, maxLength: 12 },
    );
    fc.assert(
      fc.property(gradients, fc.infiniteStream(fc.nat()), (microBatches, random) => {
        const count = microBatches.length;
        const maxima = microBatches.map((g) => [Math.max(...g.map(Math.abs))]).reduce(mergeMaxima);
        const [exponent] = gridExponents(maxima, count);
        const rounded = microBatches.map((gradient) => Int32Array.from(round(gradient, exponent!)));

        const straight = rounded.reduce(addInt32);
        const shuffled = [...rounded];
        while (shuffled.length > 1) {
          const [a] = shuffled.splice(random.next().value! % shuffled.length, 1);
          const [b] = shuffled.splice(random.next().value! % shuffled.length, 1);
          shuffled.push(addInt32(a!, b!));
        }

        assert.deepEqual(shuffled[0], straight);
      }),
    );
  });
});

describe('nextMaxima', () => {
  test('follows what was seen upwards at once, downwards slowly, and never reaches zero', () => {
    assert.deepEqual(nextMaxima([1, 1, 1], [4, 0.98, 0]), [4, 0.98, 31 / 32]);

    let maxima = [1e-300];
    for (let step = 0; step < 60_000; step++) maxima = nextMaxima(maxima, [0]);

    assert.ok(maxima[0]! > 0);
    assert.ok(Number.isInteger(gridExponents(maxima, 1)[0]));
  });
});

describe('mergeMaxima', () => {
  test('gives the same for every order of the micro-batches', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(someMaximum, someMaximum), { minLength: 1 }), (maxima) => {
        assert.deepEqual(
          maxima.reduceRight<readonly number[]>(mergeMaxima, [0, 0]),
          maxima.reduce<readonly number[]>(mergeMaxima, [0, 0]),
        );
      }),
    );
  });
});

function addInt32(a: Int32Array<ArrayBuffer>, b: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  return a.map((value, i) => value + b[i]!);
}
