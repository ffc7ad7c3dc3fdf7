import { testAimedFaults } from '../../simulation/groups.contract.ts';

/** Seeds after those of test/simulation/groups.test.ts. */
testAimedFaults(101, 60);
