import { describe, test } from 'node:test';
import { testAudits } from '../simulation/audits.contract.ts';
import { checkHistory, undisturbedDigest } from '../simulation/check-history.ts';
import { testSilentReporter } from '../simulation/silent-reporter.contract.ts';
import { testWrongNumbers } from '../simulation/wrong-numbers.contract.ts';

/** Seeds that test/simulation/simulation.test.ts has none of, nor test/simulation/wide.test.ts. */
const FIRST = 201;
const HISTORIES = 2800;
const FIRST_WIDE = 10_040;
const WIDE_HISTORIES = 200;
const WIDE_STEPS = 5;

describe('a simulated cluster, for longer', () => {
  const expected = undisturbedDigest(1);

  test('ends with the undisturbed state in every history of faults', () => {
    for (let seed = FIRST; seed < FIRST + HISTORIES; seed++) checkHistory(seed, expected);
  });

  test('ends with it on all links, at all speeds, among members that babble', () => {
    const changes = { world: 'wide', steps: WIDE_STEPS } as const;
    const wide = undisturbedDigest(1, WIDE_STEPS);
    for (let seed = FIRST_WIDE; seed < FIRST_WIDE + WIDE_HISTORIES; seed++)
      checkHistory(seed, wide, { ...changes, babblers: seed % 3 });
  });
});

testAudits({ seeds: 25, honest: 300, lying: 200 });
testWrongNumbers({ seeds: 25, histories: 40 });
testSilentReporter(150);
