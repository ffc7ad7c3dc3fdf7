import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { broadcastAxes, broadcastShapes, shapeProblem } from './shape.ts';

describe('broadcastShapes', () => {
  test('aligns at the right and stretches sizes of 1', () => {
    assert.deepEqual(broadcastShapes([2, 3, 4], [3, 1]), [2, 3, 4]);
    assert.deepEqual(broadcastShapes([2, 1], [1, 3]), [2, 3]);
    assert.deepEqual(broadcastShapes([], [5]), [5]);
  });

  test('keeps a size of 0', () => {
    assert.deepEqual(broadcastShapes([0, 3], [1, 3]), [0, 3]);
  });

  test('fits a symbolic size to itself and to 1 only', () => {
    assert.deepEqual(broadcastShapes(['batch', 10], [10]), ['batch', 10]);
    assert.deepEqual(broadcastShapes(['batch'], ['batch']), ['batch']);
    assert.equal(broadcastShapes(['batch'], [3]), undefined);
  });

  test('gives nothing for sizes that differ', () => {
    assert.equal(broadcastShapes([2, 3], [2]), undefined);
  });
});

describe('broadcastAxes', () => {
  test('names the axes that were added and those that were stretched', () => {
    assert.deepEqual(broadcastAxes([3, 1], [2, 3, 4]), [0, 2]);
    assert.deepEqual(broadcastAxes([3], [3]), []);
  });
});

describe('shapeProblem', () => {
  test('refuses what no honest file has', () => {
    assert.equal(shapeProblem([32, 784]), undefined);
    assert.equal(shapeProblem(['batch', 0]), undefined);
    for (const shape of [[-1], [1.5], [''], [2 ** 20, 2 ** 20], Array<number>(33).fill(1)]) {
      assert.equal(typeof shapeProblem(shape), 'string', String(shape));
    }
  });
});
