import { testGroups } from '../cluster/groups.contract.ts';

testGroups('shm');
