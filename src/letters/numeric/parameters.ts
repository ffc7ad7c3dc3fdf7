/**
 * The parameters of a network with one hidden layer, as one flat float64 array: first V [hidden +
 * 1, classes], then W [features + 1, hidden]. Row 0 of each is the bias.
 */
import { RandomWords } from '../../base/random.ts';
import { MersenneTwister } from './mersenne-twister.ts';

/** Sizes of the network, all at least 1. */
export interface NetworkShape {
  /** Numbers per row of data. */
  readonly features: number;
  readonly hidden: number;
  readonly classes: number;
}

/** Elements of V: W begins there. */
export function outputWeightCount({ hidden, classes }: NetworkShape): number {
  return (hidden + 1) * classes;
}

/** Elements of V and W. */
export function parameterCount(shape: NetworkShape): number {
  return outputWeightCount(shape) + (shape.features + 1) * shape.hidden;
}

/** What the seed system starts from: numpy's `seed(1)`, V before W, uniform in [-0.01, 0.01). */
export function seedParameters(shape: NetworkShape): Float64Array {
  const twister = new MersenneTwister(1);
  return Float64Array.from(
    { length: parameterCount(shape) },
    () => -0.01 + 0.02 * twister.uniform(),
  );
}

/**
 * Parameters for inputs of mean 0 and variance 1: biases 0, weights uniform with the variance that
 * keeps signals equally large through a ReLU (W) and before a softmax (V). The same for everyone
 * with the same seed.
 *
 * Source: He et al. 2015, Glorot and Bengio 2010.
 */
export function initialParameters(shape: NetworkShape, seed: number): Float64Array {
  const { features, hidden, classes } = shape;
  const parameters = new Float64Array(parameterCount(shape));
  const words = new RandomWords(seed, 'init');
  const start = outputWeightCount(shape);
  const fill = (from: number, to: number, bound: number): void => {
    for (let i = from; i < to; i++) parameters[i] = bound * (2 * words.uniform(i) - 1);
  };
  fill(classes, start, Math.sqrt(6 / (hidden + classes)));
  fill(start + hidden, parameters.length, Math.sqrt(6 / features));
  return parameters;
}
