import { invariant } from '../base/errors.ts';
import type { Kernels } from '../kernels/kernels.ts';
import type { OptimizerScalars } from './scalars.ts';
import type { OptimizerSpec } from './spec.ts';

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
   * What one unit of the total is worth: 1 / (grid scale * sample count), times the clip
   * coefficient.
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
  const { weights, states, total, length, factor } = range;
  const { learningRate, beta1, beta2, epsilon, stepSize, biasCorrection2Sqrt } = scalars;
  const decayed = range.decayed ?? true;
  const weightDecay = decayed ? scalars.weightDecay : 0;
  const decayFactor = decayed ? scalars.decayFactor : 1;
  const [first, second] = states;
  switch (spec.kind) {
    case 'sgd':
      return kernels.sgd(weights, total, length, factor, learningRate, weightDecay);
    case 'momentum': {
      invariant(first !== undefined, 'momentum needs one state region');
      const nesterov = spec.nesterov ? 1 : 0;
      const { momentum, dampening } = scalars;
      return kernels.momentum(
        weights,
        first,
        total,
        length,
        factor,
        learningRate,
        momentum,
        dampening,
        nesterov,
        weightDecay,
      );
    }
    case 'adam':
    case 'adamw': {
      invariant(
        first !== undefined && second !== undefined,
        `${spec.kind} needs two state regions`,
      );
      const common = [
        weights,
        first,
        second,
        total,
        length,
        factor,
        beta1,
        beta2,
        epsilon,
        stepSize,
        biasCorrection2Sqrt,
      ] as const;
      if (spec.kind === 'adam') return kernels.adam(...common, weightDecay);
      return kernels.adamw(...common, decayFactor);
    }
    default:
      return spec satisfies never;
  }
}
