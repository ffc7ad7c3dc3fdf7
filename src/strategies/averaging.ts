/**
 * Federated averaging as an update like any other: what a shard changed, times its samples, is its
 * gradient; the mean over all samples is taken off the weights with learning rate 1.
 *
 *   w - sum_k n_k (w - w_k) / sum_k n_k  =  sum_k n_k w_k / sum_k n_k
 *
 * So shards are leased, re-issued, added as integers and committed as micro-batches are, and the
 * average does not depend on who trained which shard, or when.
 *
 * Source: McMahan et al. 2017, algorithm 1; as a gradient: Reddi et al. 2021.
 */
import type { ConstantSchedule } from '../optim/schedule.ts';
import { makeOptimizerSpec, type SgdSpec } from '../optim/spec.ts';

/** The update that makes the average. It keeps no state: the weights are all that travels. */
export const AVERAGING: SgdSpec = makeOptimizerSpec('sgd');

/** Its learning rate, the same in every round. */
export const AVERAGING_SCHEDULE: ConstantSchedule = {
  kind: 'constant',
  learningRate: 1,
  warmupSteps: 0,
};
