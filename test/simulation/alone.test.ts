import { testAlone } from './alone.contract.ts';

testAlone(1, 60);
