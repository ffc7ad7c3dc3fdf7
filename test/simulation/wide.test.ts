import { describe, test } from 'node:test';
import { checkWideHistories } from './wide.contract.ts';

/** Seeds from 10,000; those of test/long/wide-links.test.ts are others. */
const HISTORIES = Number(process.env['LOCKSTEP_HISTORIES'] ?? 40);
const ONLY_SEED = process.env['LOCKSTEP_HISTORY'];

describe('a simulated cluster of all links and all speeds, among members that babble', () => {
  test('ends with the undisturbed state, and puts no honest worker out for being slow', () => {
    if (ONLY_SEED === undefined) checkWideHistories(10_000, HISTORIES);
    else checkWideHistories(Number(ONLY_SEED), 1);
  });
});
