import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ConfigError } from '../base/errors.ts';
import { makeOptimizerSpec, OPTIMIZER_NAMES, OPTIMIZERS, parseOptimizerSpec } from './spec.ts';

describe('OPTIMIZER_NAMES', () => {
  test('lists every optimizer once', () => {
    assert.deepEqual([...OPTIMIZER_NAMES].toSorted(), Object.keys(OPTIMIZERS).toSorted());
  });
});

describe('makeOptimizerSpec', () => {
  test("fills in PyTorch's defaults", () => {
    assert.deepEqual(makeOptimizerSpec('adamw', { beta1: 0.8 }), {
      kind: 'adamw',
      beta1: 0.8,
      beta2: 0.999,
      epsilon: 1e-8,
      weightDecay: 0.01,
      decayBias: true,
    });
  });

  test('names what is wrong', () => {
    assert.throws(() => makeOptimizerSpec('adam', { beta1: 1 }), {
      code: 'CONFIG_INVALID',
      message: 'optimizer: beta1: expected a number from 0 to below 1, got 1',
    });
    assert.throws(() => makeOptimizerSpec('sgd', { weightDecay: -1 }), ConfigError);
    assert.throws(() => makeOptimizerSpec('sgd', { weightDecay: Infinity }), ConfigError);
    assert.throws(() => makeOptimizerSpec('adam', { epsilon: 0 }), ConfigError);
    assert.throws(() => makeOptimizerSpec('adam', { epsilon: NaN }), ConfigError);
    assert.throws(
      () => makeOptimizerSpec('momentum', { nesterov: true, dampening: 0.1 }),
      /dampening 0/,
    );
    assert.throws(
      () => makeOptimizerSpec('momentum', { nesterov: true, momentum: 0 }),
      ConfigError,
    );
  });
});

describe('parseOptimizerSpec', () => {
  test('gives back what makeOptimizerSpec made, after a trip through JSON', () => {
    for (const kind of ['sgd', 'momentum', 'adam', 'adamw'] as const) {
      const spec = makeOptimizerSpec(kind);

      assert.deepEqual(
        parseOptimizerSpec(JSON.parse(JSON.stringify(spec)) as Record<string, unknown>),
        spec,
      );
    }
  });

  test('refuses unknown kinds, missing fields and fields of other kinds', () => {
    assert.throws(
      () => parseOptimizerSpec({ kind: 'toString' }),
      /kind: expected sgd, momentum, adam, adamw/,
    );
    assert.throws(() => parseOptimizerSpec({ kind: 'sgd', weightDecay: 0 }), /decayBias/);
    assert.throws(
      () => parseOptimizerSpec({ kind: 'sgd', weightDecay: 0, decayBias: true, beta1: 0 }),
      /beta1/,
    );
  });
});
