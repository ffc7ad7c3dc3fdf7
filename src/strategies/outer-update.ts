/**
 * What a round ends with: an update of the weights that everybody has, whose gradient (the outer
 * gradient) is the mean of what the shards changed. Without momentum, at learning rate 1, that is
 * the average (averaging.ts); with Nesterov momentum it is DiLoCo's.
 *
 *   g = sum_k n_k (w - w_k) / sum_k n_k;  v = momentum v + g;  w -= rate (g + momentum v)
 *
 * Source: Douillard et al. 2023, "DiLoCo: Distributed Low-Communication Training of Language
 * Models", algorithm 1; the rule is that of torch.optim.SGD with nesterov.
 */
import { makeOptimizerSpec, type OptimizerSpec } from '../optim/spec.ts';
import { AVERAGING } from './averaging.ts';
import type { RoundsSpec } from './rounds-spec.ts';

/** The optimizer of the rounds; its state is what travels and is kept beside the weights. */
export function outerOptimizerOf({
  outerMomentum: momentum = 0,
}: Pick<RoundsSpec, 'outerMomentum'>): OptimizerSpec {
  return momentum === 0 ? AVERAGING : makeOptimizerSpec('momentum', { momentum, nesterov: true });
}
