import { describe, test } from 'node:test';
import { testAlone } from '../../simulation/alone.contract.ts';
import { testAudits } from '../../simulation/audits.contract.ts';
import { checkHistory, undisturbedDigest } from '../../simulation/check-history.ts';
import { testSilentReporter } from '../../simulation/silent-reporter.contract.ts';
import { testStandBys } from '../../simulation/stand-bys.contract.ts';
import { testWrongNumbers } from '../../simulation/wrong-numbers.contract.ts';

/** Seeds after those of test/simulation/simulation.test.ts. */
const FIRST = 201;
const HISTORIES = 2800;

describe('a simulated cluster, for longer', () => {
  const expected = undisturbedDigest(1);

  test('ends with the undisturbed state in every history of faults', () => {
    for (let seed = FIRST; seed < FIRST + HISTORIES; seed++) checkHistory(seed, expected);
  });
});

testAlone(61, 500);
testAudits({ seeds: 25, honest: 300, lying: 200 });
testWrongNumbers({ seeds: 25, histories: 40 });
testSilentReporter(150);
testStandBys(61, 300);
