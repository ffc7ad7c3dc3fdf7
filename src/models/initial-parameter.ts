import { RandomWords } from '../base/random.ts';
import { staticElementCount } from '../graph/shape.ts';
import type { ParameterSpec } from './model.ts';

/**
 * The values with which a parameter begins: a function of the seed and of the parameter's place in the model.
 *
 * The same bits everywhere: element i is fround(fround(2u - 1) * bound), u the i-th uniform number of 24 bits.
 */
export function initialParameter(spec: ParameterSpec, seed: number, index: number): Float32Array {
  const values = new Float32Array(staticElementCount(spec.shape));
  if (spec.init.kind === 'constant') return values.fill(spec.init.value);
  const words = new RandomWords(seed, 'init', index);
  const bound = Math.fround(spec.init.bound);
  // 2u - 1 has 24 bits, so it is exact; one product, rounded once.
  for (let i = 0; i < values.length; i++) values[i] = Math.fround((2 * words.uniform(i) - 1) * bound);
  return values;
}
