/**
 * The errors that the seed system has published, and those that the default mode promises; without
 * processes.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { run } from './local-job.ts';

describe('mode seed', () => {
  test('gives 0.8054285714 with 5 rounds, 15 epochs, h 20, in any order of tasks', () => {
    const errors = run({}, (count) => ((count * 7) % 3) % count);

    assert.deepEqual(
      errors.map((error) => error.toFixed(10)),
      ['0.9574285714', '0.9277142857', '0.7954285714', '0.7720000000', '0.8054285714'],
    );
  });

  test('gives 0.6517, 0.4529, 0.37 with 3 rounds, 75 epochs, h 24', () => {
    const errors = run({ rounds: 3, epochs: 75, hidden: 24 });

    assert.deepEqual(
      errors.map((error) => error.toFixed(4)),
      ['0.6517', '0.4529', '0.3700'],
    );
    assert.equal(errors.at(-1), 0.37);
  });
});

describe('mode default', () => {
  test('gives at most 0.15 with h 24 and mini-batch Adam', () => {
    const adam = { mode: 'default', optimizer: 'adam', seed: 42, batch: 16, eta: 0.01 } as const;

    const error = run({ ...adam, rounds: 5, epochs: 10, hidden: 24 }).at(-1)!;

    assert.ok(error <= 0.15, `${error}`);
  });
});
