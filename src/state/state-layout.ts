/**
 * The state of a replica: parameters, then the regions of the optimizer, then what else a strategy
 * remembers, each in the order of the parameters, unpadded float32. That is the order of
 * hand-overs, snapshots and digests.
 */
import { makeArenaLayout, type ParameterShape } from '../kernels/layout.ts';
import { OPTIMIZERS, type OptimizerSpec } from '../optim/spec.ts';

/** Names the regions that an optimizer keeps, each as large as the parameters. */
export function optimizerRegionsOf({ kind }: OptimizerSpec): readonly string[] {
  return OPTIMIZERS[kind].stateNames;
}

/** Names the regions of an arena that make up the state, in canonical order. */
export function stateRegionsOf(optimizer: OptimizerSpec): readonly string[] {
  return ['weights', ...optimizerRegionsOf(optimizer)];
}

/** Counts the bytes of a whole state, of which `remembered` regions are its strategy's. */
export function stateBytesOf(
  parameters: readonly ParameterShape[],
  optimizer: OptimizerSpec,
  remembered = 0,
): number {
  return 4 * makeArenaLayout(parameters).length * (stateRegionsOf(optimizer).length + remembered);
}

/** Counts the bytes of the largest state that an optimizer makes of parameters, padded. */
export function mostStateBytes(parameters: readonly ParameterShape[]): number {
  const regions = Object.values(OPTIMIZERS).map(({ stateNames }) => 1 + stateNames.length);
  return 4 * makeArenaLayout(parameters).paddedLength * Math.max(...regions);
}
