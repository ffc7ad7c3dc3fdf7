import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ProtocolError } from '../base/errors.ts';
import {
  clipCoefficient,
  integerPower,
  optimizerScalars,
  parseOptimizerScalars,
} from './scalars.ts';
import { makeOptimizerSpec } from './spec.ts';

describe('parseOptimizerScalars', () => {
  test('gives back the scalars after a trip through JSON, refuses missing or infinite ones', () => {
    const scalars = optimizerScalars(makeOptimizerSpec('adam'), 7, 0.1);

    const received = JSON.parse(JSON.stringify(scalars)) as Record<string, unknown>;
    assert.deepEqual(parseOptimizerScalars(received), scalars);
    assert.throws(() => parseOptimizerScalars({ ...received, beta2: undefined }), ProtocolError);
    assert.throws(() => parseOptimizerScalars({ ...received, stepSize: Infinity }), ProtocolError);
  });
});

describe('optimizerScalars', () => {
  test('dampens from the second step on only', () => {
    const spec = makeOptimizerSpec('momentum', { dampening: 0.5 });

    assert.equal(optimizerScalars(spec, 1, 0.1).dampening, 0);
    assert.equal(optimizerScalars(spec, 2, 0.1).dampening, 0.5);
  });

  test('holds finite numbers even after a billion steps', () => {
    const scalars = optimizerScalars(makeOptimizerSpec('adam'), 1e9, 0.1);

    assert.equal(scalars.stepSize, 0.1);
    assert.equal(scalars.biasCorrection2Sqrt, 1);
  });
});

describe('integerPower', () => {
  test('agrees with Math.pow within rounding', () => {
    for (const base of [0.9, 0.999, 0.5, 0]) {
      for (const exponent of [0, 1, 2, 3, 10, 999, 12345]) {
        const expected = Math.pow(base, exponent);
        assert.ok(
          Math.abs(integerPower(base, exponent) - expected) <= 1e-12 * expected,
          `${base}^${exponent}`,
        );
      }
    }
  });
});

describe('clipCoefficient', () => {
  test('is 1 for norms up to the limit and brings longer ones to it', () => {
    assert.equal(clipCoefficient(0.5, 1), 1);
    assert.equal(clipCoefficient(0, 1), 1);
    assert.equal(clipCoefficient(4, 1), 1 / (4 + 1e-6));
  });
});
