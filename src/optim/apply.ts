import { invariant } from '../base/errors.ts';
import type { Kernels } from '../kernels/kernels.ts';
import type { OptimizerScalars } from './scalars.ts';
import type { AdamSpec, AdamWSpec, MomentumSpec, OptimizerSpec } from './spec.ts';

/** Adjacent elements to update: a tensor, or any part of one that the layout's blocks allow. */
export interface UpdateRange {
  /** Byte offset of the float32 weights. */
  readonly weights: number;
  /** Byte offsets of the optimizer's regions, in the order of `OPTIMIZERS[kind].stateNames`. */
  readonly states: readonly number[];
  /** Byte offset of the int32 gradient totals. */
  readonly total: number;
  /** Elements, padding included; a multiple of 4. */
  readonly length: number;
  /**
   * Gradient per unit of the total: 1 / (grid scale * sample count), times the clip coefficient.
   */
  readonly factor: number;
  /** Whether weight decay applies; default true; see `isDecayed`. */
  readonly decayed?: boolean;
}

/**
 * Whether a tensor decays: every one, or with `decayBias` false those of two or more dimensions.
 */
export function isDecayed(spec: OptimizerSpec, shape: readonly number[]): boolean {
  return spec.decayBias || shape.length >= 2;
}

/**
 * Makes one optimizer step on `range`: g = float32(total) * factor, then the rule of `spec.kind`.
 *
 * Elements do not influence each other: dividing a tensor into ranges, on any number of lanes,
 * gives the same bits. Padding (zero weight, state and total) stays zero.
 * Effect: overwrites weights and states in the memory of `kernels`.
 */
export function applyOptimizer(
  kernels: Kernels,
  spec: OptimizerSpec,
  scalars: OptimizerScalars,
  range: UpdateRange,
): void {
  const { weights, total, length, factor } = range;
  switch (spec.kind) {
    case 'sgd': {
      const weightDecay = weightDecayOf(scalars, range);
      return kernels.sgd(weights, total, length, factor, scalars.learningRate, weightDecay);
    }
    case 'momentum':
      return applyMomentum(kernels, spec, scalars, range);
    case 'adam':
    case 'adamw':
      return applyAdam(kernels, spec, scalars, range);
    default:
      return spec satisfies never;
  }
}

function applyMomentum(
  kernels: Kernels,
  spec: MomentumSpec,
  scalars: OptimizerScalars,
  range: UpdateRange,
): void {
  const { weights, states, total, length, factor } = range;
  const [velocity] = states;
  invariant(velocity !== undefined, 'momentum needs one state region');
  kernels.momentum(
    weights,
    velocity,
    total,
    length,
    factor,
    scalars.learningRate,
    scalars.momentum,
    scalars.dampening,
    spec.nesterov ? 1 : 0,
    weightDecayOf(scalars, range),
  );
}

function applyAdam(
  kernels: Kernels,
  { kind }: AdamSpec | AdamWSpec,
  scalars: OptimizerScalars,
  range: UpdateRange,
): void {
  const { weights, states, total, length, factor } = range;
  const [first, second] = states;
  invariant(first !== undefined && second !== undefined, `${kind} needs two state regions`);
  const common = [
    weights,
    first,
    second,
    total,
    length,
    factor,
    scalars.beta1,
    scalars.beta2,
    scalars.epsilon,
    scalars.stepSize,
    scalars.biasCorrection2Sqrt,
  ] as const;
  if (kind === 'adam') return kernels.adam(...common, weightDecayOf(scalars, range));
  return kernels.adamw(...common, isRangeDecayed(range) ? scalars.decayFactor : 1);
}

function weightDecayOf({ weightDecay }: OptimizerScalars, range: UpdateRange): number {
  return isRangeDecayed(range) ? weightDecay : 0;
}

function isRangeDecayed({ decayed = true }: UpdateRange): boolean {
  return decayed;
}
