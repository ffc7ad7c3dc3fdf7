import { describe, test } from 'node:test';
import { checkHistory, undisturbedDigest } from '../simulation/check-history.ts';

/** Seeds from 1001, of which those of test/simulation/simulation.test.ts are none. */
const FIRST = 1001;
const HISTORIES = 2000;

describe('a simulated cluster, for longer', () => {
  const expected = undisturbedDigest(1);

  test('ends with the undisturbed state in every history of faults', () => {
    for (let seed = FIRST; seed < FIRST + HISTORIES; seed++) checkHistory(seed, expected);
  });
});
