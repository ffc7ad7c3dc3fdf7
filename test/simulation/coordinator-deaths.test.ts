import { testCoordinatorDeaths } from './coordinator-deaths.contract.ts';

testCoordinatorDeaths(1, 24);
