import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { addAverage } from './federated-average.ts';

const start = Float64Array.of(1, 2);
const deltas = [
  { delta: Float64Array.of(1, 0), rowCount: 1 },
  { delta: Float64Array.of(4, 8), rowCount: 3 },
];

describe('addAverage', () => {
  test('weighs files equally, as the seed system does', () => {
    assert.deepEqual(addAverage(start, deltas, 'files'), Float64Array.of(3.5, 6));
  });

  test('weighs files by their rows', () => {
    assert.deepEqual(addAverage(start, deltas, 'rows'), Float64Array.of(4.25, 8));
  });
});
