import { testAimedFaults, testGroups } from './groups.contract.ts';

/** Seeds in which every kind of end that a group comes to happens. */
testGroups(3_501, 60);
testAimedFaults(6, 5);
