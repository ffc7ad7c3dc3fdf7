import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { checkHistory, undisturbedDigest } from './check-history.ts';

/** Seeds from 1; those of test/long/simulation.test.ts are others. */
const HISTORIES = Number(process.env['LOCKSTEP_HISTORIES'] ?? 200);
const ONLY_SEED = process.env['LOCKSTEP_HISTORY'];

describe('a simulated cluster', () => {
  const expected = undisturbedDigest(1);

  test('ends with the same state for 1 to 6 workers when nothing goes wrong', () => {
    for (const workers of [2, 3, 4, 5, 6]) assert.equal(undisturbedDigest(workers), expected);
  });

  test('ends with the undisturbed state in every history of faults', () => {
    const seeds =
      ONLY_SEED === undefined
        ? Array.from({ length: HISTORIES }, (_, i) => i + 1)
        : [Number(ONLY_SEED)];
    for (const seed of seeds) checkHistory(seed, expected);
  });
});
