import { RandomWords } from '../base/random.ts';
import { staticElementCount } from '../graph/values/shape.ts';
import type { ParameterSpec } from './model.ts';

/**
 * Gives the values a parameter begins with: a function of the seed and of its place in the model.
 *
 * Uniform ones have the same bits everywhere: element i is fround(fround(2u - 1) * bound), u the
 * i-th uniform number of 24 bits. Normal ones pass Math.log and Math.cos, whose last bit is up to
 * the JavaScript engine: the coordinator computes them once and sends them.
 */
export function initialParameter(
  spec: Pick<ParameterSpec, 'shape' | 'init'>,
  seed: number,
  index: number,
): Float32Array {
  const values = new Float32Array(staticElementCount(spec.shape));
  if (spec.init.kind === 'constant') return values.fill(spec.init.value);
  if (spec.init.kind === 'values') return spec.init.values.slice();
  const words = new RandomWords(seed, 'init', index);
  if (spec.init.kind === 'normal') return fillNormal(values, words, spec.init.std);
  const bound = Math.fround(spec.init.bound);
  // 2u - 1 has 24 bits, so it is exact; one product, rounded once.
  for (let i = 0; i < values.length; i++)
    values[i] = Math.fround((2 * words.uniform(i) - 1) * bound);
  return values;
}

/**
 * Two normal numbers from two uniform ones, u and v: sqrt(-2 log(1 - u)) times cos(2 pi v) and
 * sin(2 pi v). Element i is made of words 2 floor(i / 2) and the one behind it; no value is further
 * out than 5.8 deviations.
 *
 * Source: Box and Muller 1958.
 */
function fillNormal(values: Float32Array, words: RandomWords, std: number): Float32Array {
  for (let i = 0; i < values.length; i += 2) {
    const radius = std * Math.sqrt(-2 * Math.log(1 - words.uniform(i))); // 1 - u is never 0
    const angle = 2 * Math.PI * words.uniform(i + 1);
    values[i] = radius * Math.cos(angle);
    if (i + 1 < values.length) values[i + 1] = radius * Math.sin(angle);
  }
  return values;
}
