import { testGroups } from '../../simulation/groups.contract.ts';

/** Other seeds than those of test/simulation/groups.test.ts. */
testGroups(101, 1_500);
