import { testSilentReporter } from './silent-reporter.contract.ts';

testSilentReporter(40);
