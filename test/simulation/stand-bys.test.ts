import { testStandBys } from './stand-bys.contract.ts';

testStandBys(1, 30);
