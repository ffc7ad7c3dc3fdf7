import { testCoordinatorDeaths } from '../../simulation/coordinator-deaths.contract.ts';

/** Seeds after those of test/simulation/coordinator-deaths.test.ts. */
testCoordinatorDeaths(25, 150);
