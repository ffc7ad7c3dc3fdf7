import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { Arena } from '../kernels/arena.ts';
import { loadKernels } from '../kernels/kernels.ts';
import { joinBlocks, makeArenaLayout, makeBlocks, sliceBlocks } from '../kernels/layout.ts';
import { applyOptimizer, isDecayed } from './apply.ts';
import { optimizerScalars } from './scalars.ts';
import { makeOptimizerSpec, OPTIMIZERS, type OptimizerSpec } from './spec.ts';

type Values = Readonly<Record<string, readonly number[]>>;

interface Fixture {
  readonly factor: number;
  readonly initialWeights: readonly number[];
  readonly totals: readonly (readonly number[])[];
  readonly optimizers: readonly {
    readonly spec: Partial<OptimizerSpec> & { readonly kind: OptimizerSpec['kind'] };
    readonly lr: number;
    /** After each step: the weights, and each state region by name. */
    readonly steps: readonly Values[];
  }[];
}

// Recorded by scripts/record-pytorch-optimizers.py.
const fixture = JSON.parse(
  readFileSync(new URL('../../test/fixtures/pytorch-optimizers.json', import.meta.url), 'utf8'),
) as Fixture;

/**
 * Asserts agreement within 1e-6 of the largest value that each element had so far: where terms
 * cancel, what is left carries their rounding, and PyTorch rounds some products and sums together.
 */
function assertClose(
  actual: Float32Array,
  history: readonly (readonly number[])[],
  what: string,
): void {
  history.at(-1)!.forEach((value, i) => {
    const largest = Math.max(...history.map((values) => Math.abs(values[i]!)));
    assert.ok(
      Math.abs(actual[i]! - value) <= 1e-6 * largest,
      `${what}[${i}]: ${actual[i]} is not ${value}`,
    );
  });
}

function makeArena(spec: OptimizerSpec, elements: number): Arena {
  const names = ['weights', 'total', ...OPTIMIZERS[spec.kind].stateNames];
  return new Arena(names.map((name) => ({ name, byteLength: 4 * elements })));
}

describe('applyOptimizer', () => {
  for (const { spec: given, lr, steps } of fixture.optimizers) {
    const { kind, ...overrides } = given;

    test(`steps as PyTorch does: ${JSON.stringify(given)}`, () => {
      const spec = makeOptimizerSpec(kind, overrides);
      const { stateNames } = OPTIMIZERS[kind];
      const arena = makeArena(spec, fixture.initialWeights.length);
      const kernels = loadKernels(arena.memory, false);
      arena.float32('weights').set(fixture.initialWeights);
      const start = { weights: fixture.initialWeights };

      fixture.totals.forEach((total, i) => {
        arena.int32('total').set(total);
        applyOptimizer(kernels, spec, optimizerScalars(spec, i + 1, lr), {
          weights: arena.byteOffset('weights'),
          states: stateNames.map((name) => arena.byteOffset(name)),
          total: arena.byteOffset('total'),
          length: total.length,
          factor: fixture.factor,
        });

        assert.deepEqual(Object.keys(steps[i]!), ['weights', ...stateNames]);
        for (const name of Object.keys(steps[i]!)) {
          const history = [start, ...steps.slice(0, i + 1)].flatMap((values: Values) =>
            name in values ? [values[name]!] : [],
          );
          assertClose(arena.float32(name), history, `step ${i + 1}, ${name}`);
        }
      });
    });
  }

  test('gives the same bits for 1 to 7 slices, and leaves padding zero', () => {
    const layout = makeArenaLayout([
      { name: 'weight', shape: [123, 41] },
      { name: 'bias', shape: [41] },
    ]);
    const blocks = makeBlocks(layout, 64);

    for (const kind of ['sgd', 'momentum', 'adam', 'adamw'] as const) {
      const spec = makeOptimizerSpec(kind, { weightDecay: 0.1, decayBias: false });
      const { stateNames } = OPTIMIZERS[kind];
      const results = [1, 2, 3, 4, 5, 6, 7].map((parts) => {
        const arena = makeArena(spec, layout.paddedLength);
        const kernels = loadKernels(arena.memory, false);
        for (const { offset, length } of layout.tensors) {
          arena
            .float32('weights', { offset, length })
            .forEach((_, i, all) => (all[i] = Math.sin(i)));
          arena
            .int32('total', { offset, length })
            .forEach((_, i, all) => (all[i] = (i * 7919) % 10007));
        }
        for (let step = 1; step <= 3; step++) {
          const scalars = optimizerScalars(spec, step, 0.01);
          for (const { tensor, offset, length } of sliceBlocks(blocks, parts).flatMap((range) =>
            joinBlocks(blocks, range),
          )) {
            applyOptimizer(kernels, spec, scalars, {
              weights: arena.byteOffset('weights', offset),
              states: stateNames.map((name) => arena.byteOffset(name, offset)),
              total: arena.byteOffset('total', offset),
              length,
              factor: 2 ** -12,
              decayed: isDecayed(spec, layout.tensors[tensor]!.shape),
            });
          }
        }
        return new Uint8Array(arena.memory.buffer);
      });

      for (const result of results) assert.deepEqual(result, results[0]);
      const weights = new Float32Array(results[0]!.buffer, 64, layout.paddedLength);
      assert.ok(weights.subarray(123 * 41, 5056).every((x) => Object.is(x, 0)));
    }
  });

  test('with decayBias false, decays a matrix but not a bias', () => {
    const spec = makeOptimizerSpec('adamw', { decayBias: false });

    assert.equal(isDecayed(spec, [3, 4]), true);
    assert.equal(isDecayed(spec, [4]), false);
    assert.equal(isDecayed(makeOptimizerSpec('adamw'), [4]), true);
  });
});
