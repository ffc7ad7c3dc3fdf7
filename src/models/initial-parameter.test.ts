import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { initialParameter } from './initial-parameter.ts';
import type { ParameterSpec } from './model.ts';

const weight: ParameterSpec = { name: 'w', shape: [50, 100], init: { kind: 'uniform', bound: 0.1 } };

describe('initialParameter', () => {
  test('gives the same bits for the same seed and place, and others for others', () => {
    assert.deepEqual(initialParameter(weight, 7, 3), initialParameter(weight, 7, 3));
    assert.notDeepEqual(initialParameter(weight, 7, 3), initialParameter(weight, 7, 4));
    assert.notDeepEqual(initialParameter(weight, 7, 3), initialParameter(weight, 8, 3));
  });

  test('gives the recorded bits', () => {
    const bits = new Uint32Array(initialParameter(weight, 7, 3).buffer, 0, 4);

    assert.deepEqual(
      [...bits].map((word) => word.toString(16)),
      ['bda918da', 'bc8bf087', 'bcd8dd07', 'bb8c4c67'],
    );
  });

  test('fills the interval evenly', () => {
    const values = initialParameter(weight, 1, 0);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + value * value, 0) / values.length;

    assert.ok(values.every((value) => Math.abs(value) <= Math.fround(0.1)));
    assert.ok(Math.abs(mean) < 0.003);
    assert.ok(Math.abs(variance - 0.01 / 3) < 0.0002);
  });

  test('fills a constant', () => {
    const values = initialParameter({ name: 's', shape: [2], init: { kind: 'constant', value: 1 } }, 1, 0);

    assert.deepEqual([...values], [1, 1]);
  });
});
