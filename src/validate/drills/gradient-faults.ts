/**
 * Ways in which a worker's gradient can be wrong. Each changes the gradient of one micro-batch as
 * it lies in memory, before it is rounded and added to others.
 */
import { RandomWords } from '../../base/random.ts';

/** Where in the run a gradient is damaged: what random numbers depend on. */
interface FaultPlace {
  readonly seed: number;
  readonly step: number;
  readonly microBatch: number;
}

/** Changes `gradients` [elements of all tensors, padding included] in place. */
export type GradientFault = (gradients: Float32Array, place: FaultPlace) => void;

/** The faults by name. */
export const GRADIENT_FAULTS = {
  /** Noise of standard deviation 1, as MiniCluster's own injector has it. */
  gradient_sync_anomaly: addNoise,
  gradient_scale_10: scaleBy(10),
  gradient_zeros: scaleBy(0),
  gradient_nan: setNaN,
  gradient_sign_flip: scaleBy(-1),
  gradient_scale_half: scaleBy(0.5),
  /** The highest bit of an exponent: times 2^128. */
  gradient_bit_flip: (gradients, place) => flipBit(gradients, someElement(gradients, place), 30),
  /**
   * The lowest bit of the largest element: a smaller one's may vanish when the gradient is rounded.
   */
  gradient_mantissa_bit: (gradients) => flipBit(gradients, largestElement(gradients), 0),
} as const satisfies Readonly<Record<string, GradientFault>>;

/** The name of one way to spoil gradients. */
type GradientFaultName = keyof typeof GRADIENT_FAULTS;

/** The fault of this name; undefined when there is none. */
export function gradientFaultNamed(name: string): GradientFault | undefined {
  return Object.hasOwn(GRADIENT_FAULTS, name)
    ? GRADIENT_FAULTS[name as GradientFaultName]
    : undefined;
}

function scaleBy(factor: number): GradientFault {
  return (gradients) => {
    for (let i = 0; i < gradients.length; i++) gradients[i] = (gradients[i] ?? 0) * factor;
  };
}

/** Adds normal numbers, drawn by the method of Box and Muller. */
function addNoise(gradients: Float32Array, { seed, step, microBatch }: FaultPlace): void {
  const words = new RandomWords(seed, 'fault', step, microBatch);
  for (let i = 0; i < gradients.length; i++) {
    const radius = Math.sqrt(-2 * Math.log(1 - words.uniform(2 * i)));
    gradients[i] = (gradients[i] ?? 0) + radius * Math.cos(2 * Math.PI * words.uniform(2 * i + 1));
  }
}

function setNaN(gradients: Float32Array, place: FaultPlace): void {
  gradients[someElement(gradients, place)] = Number.NaN;
}

/** An element that is neither zero nor so large that times 2^128 it would be infinite. */
function someElement(gradients: Float32Array, { seed }: FaultPlace): number {
  const first = new RandomWords(seed, 'fault').below(0, gradients.length);
  for (let i = 0; i < gradients.length; i++) {
    const at = (first + i) % gradients.length;
    const size = Math.abs(gradients[at] ?? 0);
    if (size > 0 && size < 1) return at;
  }
  return first;
}

function largestElement(gradients: Float32Array): number {
  let largest = 0;
  for (let i = 1; i < gradients.length; i++) {
    if (Math.abs(gradients[i] ?? 0) > Math.abs(gradients[largest] ?? 0)) largest = i;
  }
  return largest;
}

function flipBit(gradients: Float32Array, index: number, bit: number): void {
  const bits = new Uint32Array(gradients.buffer, gradients.byteOffset, gradients.length);
  bits[index] = (bits[index] ?? 0) ^ (1 << bit);
}
