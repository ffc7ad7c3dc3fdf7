/**
 * The numbers of one update. They are computed once, on the coordinator, and sent: powers and roots
 * in other engines need not have the same last bit, and every replica must use the same numbers.
 */
import { invariant, ProtocolError } from '../base/errors.ts';
import type { OptimizerSpec } from './spec.ts';

/**
 * Float64 scalars of one update; those that the optimizer does not use are at their neutral values.
 */
export interface OptimizerScalars {
  /** The rate of this step, after the schedule. */
  readonly learningRate: number;
  /** Added to the gradient times the weight; 0 for adamw. */
  readonly weightDecay: number;
  /** Multiplies the weights before the step: 1 - learningRate * weight decay for adamw, else 1. */
  readonly decayFactor: number;
  readonly momentum: number;
  /** 0 in the first step: PyTorch starts the velocity with the whole gradient. */
  readonly dampening: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** learningRate / (1 - beta1^step) */
  readonly stepSize: number;
  /** sqrt(1 - beta2^step) */
  readonly biasCorrection2Sqrt: number;
}

const NEUTRAL: OptimizerScalars = {
  learningRate: 0,
  weightDecay: 0,
  decayFactor: 1,
  momentum: 0,
  dampening: 0,
  beta1: 0,
  beta2: 0,
  epsilon: 0,
  stepSize: 0,
  biasCorrection2Sqrt: 1,
};

/** The scalars of update `step` (the first is 1) at the given learning rate. */
export function optimizerScalars(
  spec: OptimizerSpec,
  step: number,
  learningRate: number,
): OptimizerScalars {
  invariant(Number.isSafeInteger(step) && step >= 1, `optimizer steps count from 1, got ${step}`);
  const { weightDecay } = spec;
  switch (spec.kind) {
    case 'sgd':
      return { ...NEUTRAL, learningRate, weightDecay };
    case 'momentum': {
      const dampening = step === 1 ? 0 : spec.dampening;
      return { ...NEUTRAL, learningRate, weightDecay, momentum: spec.momentum, dampening };
    }
    case 'adam':
    case 'adamw': {
      const { beta1, beta2, epsilon } = spec;
      const stepSize = learningRate / (1 - integerPower(beta1, step));
      const biasCorrection2Sqrt = Math.sqrt(1 - integerPower(beta2, step));
      const moments = {
        ...NEUTRAL,
        learningRate,
        beta1,
        beta2,
        epsilon,
        stepSize,
        biasCorrection2Sqrt,
      };
      return spec.kind === 'adam'
        ? { ...moments, weightDecay }
        : { ...moments, decayFactor: 1 - learningRate * weightDecay };
    }
    default:
      return spec satisfies never;
  }
}

/** Scalars from a message. Throws: ProtocolError when one is missing or not finite. */
export function parseOptimizerScalars(value: Readonly<Record<string, unknown>>): OptimizerScalars {
  const scalars: Record<string, number> = {};
  for (const name of Object.keys(NEUTRAL)) {
    const scalar = value[name];
    if (typeof scalar !== 'number' || !Number.isFinite(scalar)) {
      throw new ProtocolError(
        `optimizer scalars: ${name}: expected a finite number, got ${String(scalar)}`,
      );
    }
    scalars[name] = scalar;
  }
  return { ...NEUTRAL, ...scalars };
}

/**
 * base^exponent for a whole exponent >= 0, by squaring: only exact IEEE products, hence the same
 * bits in every engine, which Math.pow does not promise.
 */
export function integerPower(base: number, exponent: number): number {
  let result = 1;
  let square = base;
  for (let rest = exponent; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) result *= square;
    square *= square;
  }
  return result;
}

/**
 * The factor that brings gradients of L2 norm `globalNorm` to at most `maxNorm`: min(1, maxNorm /
 * (globalNorm + 1e-6)).
 * Source: torch.nn.utils.clip_grad_norm_.
 */
export function clipCoefficient(globalNorm: number, maxNorm: number): number {
  return Math.min(1, maxNorm / (globalNorm + 1e-6));
}
