/** The strategies that a run can name. A new one is its own file and one line here. */
import { ProtocolError } from '../base/errors.ts';
import type { StrategyName } from '../config/cluster-settings.ts';
import type { Job } from '../protocol/messages.ts';
import { ASYNC } from './async.ts';
import { LOCAL_SGD } from './local-sgd.ts';
import { PARAMETER_SERVER } from './parameter-server.ts';
import { ROUNDS } from './rounds.ts';
import type { Strategy } from './strategy.ts';
import { SYNC } from './sync.ts';

/** Every strategy, by the name that the setting `strategy` gives it. */
export const STRATEGIES: { readonly [Name in StrategyName]: Strategy } = {
  sync: SYNC,
  rounds: ROUNDS,
  'local-sgd': LOCAL_SGD,
  'parameter-server': PARAMETER_SERVER,
  async: ASYNC,
};

/** Finds the strategy of a job. Throws ProtocolError when there is none of that name. */
export function strategyOf({ strategy: { kind } }: Pick<Job, 'strategy'>): Strategy {
  const found = Object.entries(STRATEGIES).find(([name]) => name === kind);
  if (found !== undefined) return found[1];
  const expected = Object.keys(STRATEGIES).join(' or ');
  throw new ProtocolError(`job: expected strategy ${expected}, got ${JSON.stringify(kind)}`);
}
