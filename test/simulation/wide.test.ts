import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { checkHistory, undisturbedDigest } from './check-history.ts';

/** Seeds from 10,000; those of test/long/simulation.test.ts are others. */
const HISTORIES = Number(process.env['LOCKSTEP_HISTORIES'] ?? 40);
const ONLY_SEED = process.env['LOCKSTEP_HISTORY'];
const STEPS = 5;

describe('a simulated cluster of all links and all speeds, among members that babble', () => {
  test('ends with the undisturbed state in every history of faults', () => {
    const expected = undisturbedDigest(1, STEPS);
    const seeds =
      ONLY_SEED === undefined
        ? Array.from({ length: HISTORIES }, (_, i) => 10_000 + i)
        : [Number(ONLY_SEED)];
    for (const seed of seeds)
      checkHistory(seed, expected, { world: 'wide', steps: STEPS, babblers: seed % 3 });
    assert.ok(seeds.length > 0);
  });
});
