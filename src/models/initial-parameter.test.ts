import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { initialParameter } from './initial-parameter.ts';
import type { ParameterSpec } from './model.ts';

const weight: ParameterSpec = {
  name: 'w',
  shape: [50, 100],
  init: { kind: 'uniform', bound: 0.1 },
};

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

  test('gives normal numbers of the deviation asked for, an even or an odd number of them', () => {
    const normal: ParameterSpec = {
      name: 'n',
      shape: [20_001],
      init: { kind: 'normal', std: 0.02 },
    };
    const values = Array.from(initialParameter(normal, 5, 2), (value) => value / 0.02);
    const moment = (power: number): number =>
      values.reduce((sum, value) => sum + value ** power, 0) / values.length;
    const near = values.filter((value) => Math.abs(value) < 1).length / values.length;
    const neighbours =
      values.slice(1).reduce((sum, value, i) => sum + value * values[i]!, 0) / values.length;

    assert.ok(
      Math.abs(moment(1)) < 0.02 && Math.abs(moment(2) - 1) < 0.03 && Math.abs(moment(4) - 3) < 0.2,
    );
    assert.ok(Math.abs(near - 0.6827) < 0.01);
    assert.ok(Math.abs(neighbours) < 0.02);
    assert.ok(values.every((value) => value !== 0 && Math.abs(value) < 5.8));
  });

  test('copies values that are given', () => {
    const given = Float32Array.of(1, 2);
    const values = initialParameter({ shape: [2], init: { kind: 'values', values: given } }, 1, 0);

    assert.deepEqual(values, given);
    assert.notEqual(values, given);
  });

  test('fills a constant', () => {
    const values = initialParameter({ shape: [2], init: { kind: 'constant', value: 1 } }, 1, 0);

    assert.deepEqual([...values], [1, 1]);
  });
});
