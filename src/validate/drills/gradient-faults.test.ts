import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { GRADIENT_FAULTS, gradientFaultNamed } from './gradient-faults.ts';

const PLACE = { seed: 3, step: 5, microBatch: 2 };
const BEFORE = Float32Array.of(0, 0.25, -3, 0.5, 0, -0.125);

function damaged(name: keyof typeof GRADIENT_FAULTS, place = PLACE, before = BEFORE): number[] {
  const gradients = before.slice();
  GRADIENT_FAULTS[name](gradients, place);
  return [...gradients];
}

function changedIndices(after: readonly number[]): number[] {
  return [...BEFORE.keys()].filter((index) => !Object.is(BEFORE[index], after[index]));
}

describe('GRADIENT_FAULTS', () => {
  test('scale the whole gradient', () => {
    assert.deepEqual(damaged('gradient_scale_10'), [0, 2.5, -30, 5, 0, -1.25]);
    assert.deepEqual(damaged('gradient_scale_half'), [0, 0.125, -1.5, 0.25, 0, -0.0625]);
    assert.deepEqual(damaged('gradient_sign_flip'), [-0, -0.25, 3, -0.5, -0, 0.125]);
    assert.ok(damaged('gradient_zeros').every((value) => value === 0));
  });

  test('put one NaN where a number was', () => {
    const after = damaged('gradient_nan');

    assert.equal(changedIndices(after).length, 1);
    assert.equal(after.filter(Number.isNaN).length, 1);
  });

  test('make one element 2^128 times as large with a high bit, and never a NaN of it', () => {
    for (let seed = 0; seed < 50; seed++) {
      const after = damaged('gradient_bit_flip', { ...PLACE, seed });
      const [index, ...others] = changedIndices(after);

      assert.equal(others.length, 0);
      assert.equal(after[index!], BEFORE[index!]! * 2 ** 128);
    }
  });

  test('change the largest element by one unit in its last place with a low bit', () => {
    const after = damaged('gradient_mantissa_bit');

    assert.deepEqual(changedIndices(after), [2]);
    assert.equal(Math.abs(after[2]! - BEFORE[2]!), 2 ** -22);
  });

  test(
    'add noise of mean 0 and standard deviation 1, another for every micro-batch, the same ' +
      'again for the same',
    () => {
      const zeros = new Float32Array(10_000);
      const noise = damaged('gradient_sync_anomaly', PLACE, zeros);
      const mean = noise.reduce((sum, value) => sum + value, 0) / noise.length;
      const variance = noise.reduce((sum, value) => sum + value * value, 0) / noise.length;

      assert.ok(Math.abs(mean) < 0.05, `mean ${mean}`);
      assert.ok(Math.abs(variance - 1) < 0.05, `variance ${variance}`);
      assert.deepEqual(damaged('gradient_sync_anomaly', PLACE, zeros), noise);
      assert.notDeepEqual(
        damaged('gradient_sync_anomaly', { ...PLACE, microBatch: 3 }, zeros),
        noise,
      );
    },
  );
});

describe('gradientFaultNamed', () => {
  test('knows the faults by name, and nothing else', () => {
    assert.equal(gradientFaultNamed('gradient_nan'), GRADIENT_FAULTS.gradient_nan);
    assert.equal(gradientFaultNamed('toString'), undefined);
  });
});
