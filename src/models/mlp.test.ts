import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parts } from '../../test/patterns.ts';
import { ConfigError } from '../base/errors.ts';
import { parameterCountOf, type ModelTask } from './model.ts';
import { makeModel } from './models.ts';

const MNIST: ModelTask = { features: [784], target: { kind: 'classification', classes: 10 } };

describe('makeModel', () => {
  test('gives the MLPs of the literature their numbers of parameters', () => {
    assert.equal(parameterCountOf(makeModel('mlp', MNIST, { hidden: [256, 512] })), 337_674);
    assert.equal(parameterCountOf(makeModel('mlp', MNIST, { hidden: [128] })), 101_770);
    assert.equal(parameterCountOf(makeModel('mlp', MNIST, { hidden: [] })), 7_850);
  });

  test('gives parameters the names, shapes and bounds of PyTorch', () => {
    const { parameters } = makeModel('mlp', MNIST, { hidden: [16] });

    assert.deepEqual(parameters, [
      { name: 'layers.0.weight', shape: [16, 784], init: { kind: 'uniform', bound: 1 / 28 } },
      { name: 'layers.0.bias', shape: [16], init: { kind: 'uniform', bound: 1 / 28 } },
      { name: 'layers.1.weight', shape: [10, 16], init: { kind: 'uniform', bound: 1 / 4 } },
      { name: 'layers.1.bias', shape: [10], init: { kind: 'uniform', bound: 1 / 4 } },
    ]);
  });

  const refused: readonly (readonly [string, Record<string, unknown>, RegExp])[] = [
    ['mpl', {}, /there is no "mpl"\. Did you mean "mlp"\?/],
    ['constructor', {}, /Known: mlp, simple_cnn, /],
    ['mlp', { hiden: [3] }, /hiden: expected one of hidden, activation.*Did you mean "hidden"\?/],
    ['mlp', { hidden: '128' }, /hidden: expected 0 to 64 whole numbers.*got "128"/],
    ['mlp', { hidden: [0] }, /hidden: expected .*got \[0\]/],
    ['mlp', { hidden: [1.5] }, /hidden/],
    [
      'mlp',
      { activation: 'rleu' },
      parts(
        /activation: expected one of relu, tanh, sigmoid, gelu, gelu_tanh, /,
        /got "rleu"; did you mean "relu"\?/,
      ),
    ],
    ['mlp', { activation: null }, /activation/],
  ];
  for (const [name, options, message] of refused) {
    test(`refuses ${name} with ${JSON.stringify(options)}, saying what is allowed`, () => {
      assert.throws(
        () => makeModel(name, MNIST, options),
        (error) => error instanceof ConfigError && message.test(error.message),
      );
    });
  }
});
