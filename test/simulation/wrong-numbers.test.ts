import { testWrongNumbers } from './wrong-numbers.contract.ts';

testWrongNumbers({ seeds: 10, histories: 15 });
