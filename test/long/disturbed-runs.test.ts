import { testDisturbedRuns } from '../cluster/disturbed-runs.contract.ts';
import { PROMISE } from '../cluster/runs.ts';

testDisturbedRuns(PROMISE, { kill: 90, freeze: 60 });
