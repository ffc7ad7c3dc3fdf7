import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ParameterShape } from '../kernels/layout.ts';
import { makeOptimizerSpec } from '../optim/spec.ts';
import { checkJobFiles, checkState } from './limits.ts';

/** The parameters of a model of one tensor. */
function tensorOf(...shape: number[]): readonly ParameterShape[] {
  return [{ name: 'weight', shape }];
}

describe('checkState', () => {
  const adam = makeOptimizerSpec('adam', {});
  const sgd = makeOptimizerSpec('sgd', {});

  test('refuses what one message cannot carry, and says what would fit', () => {
    const count = 200_000_000;

    assert.throws(() => checkState(tensorOf(count), adam), {
      code: 'CONFIG_INVALID',
      message:
        'model: expected at most 2 GiB of parameters and optimizer state, got 2.2 GiB for ' +
        '200000000 parameters with adam. Choose a smaller model, or an optimizer that keeps ' +
        'less: --optimizer sgd.',
    });
    checkState(tensorOf(count), sgd);
    assert.throws(
      () => checkState(tensorOf(300_000_000), sgd),
      /at most 268\d{6} parameters, got 300000000/,
    );
  });
});

describe('checkJobFiles', () => {
  test('refuses compiled steps that one message cannot carry', () => {
    checkJobFiles(2 ** 31 - 1);
    assert.throws(() => checkJobFiles(2 ** 31), /compiled steps of at most 2 GiB/);
  });
});
