import { testAudits } from './audits.contract.ts';

testAudits({ seeds: 8, honest: 60, lying: 50 });
