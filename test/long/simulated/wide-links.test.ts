import { describe, test } from 'node:test';
import { checkWideHistories } from '../../simulation/wide.contract.ts';

/** Seeds after those of test/simulation/wide.test.ts. */
const FIRST = 10_040;
const HISTORIES = 2_960;

describe('a simulated cluster of all links and all speeds, for longer', () => {
  test('ends with the undisturbed state, and puts no honest worker out for being slow', () => {
    checkWideHistories(FIRST, HISTORIES);
  });
});
