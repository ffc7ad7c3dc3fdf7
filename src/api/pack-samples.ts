/** Samples as a program has them, brought to what a session takes. */
import { ConfigError } from '../base/errors.ts';
import { formatShape, staticElementCount } from '../graph/values/shape.ts';

/**
 * Samples for a model: all numbers one after the other ([count, ...features], row-major; a
 * Uint8Array of bytes, an Int32Array of token ids), or one array of numbers per sample.
 */
export type ModelInput = Uint8Array | Float32Array | Int32Array | readonly ArrayLike<number>[];

/** How a model's file wants its input. */
export type InputType = 'uint8' | 'float32' | 'int32' | 'int64';

/** Samples in the type of the model's input. */
export interface PackedSamples {
  readonly count: number;
  readonly values: Uint8Array | Float32Array | Int32Array | BigInt64Array;
}

/**
 * Brings samples to `type`, each of shape `features`.
 *
 * Throws: ConfigError naming the sample and what is wrong: no sample at all, another length, a
 *         feature that is no finite number, or no byte for a model of bytes, a token that is no
 *         whole number of at least 0.
 */
export function packSamples(
  samples: ModelInput,
  features: readonly number[],
  type: InputType,
): PackedSamples {
  const size = staticElementCount(features);
  const rows = Array.isArray(samples) ? samples : undefined;
  const flat = rows === undefined ? checkedFlat(samples, type) : joined(rows, size, features);
  if (flat.length === 0) throw invalid('at least one sample', 'none');
  if (flat.length % size !== 0)
    throw invalid(
      `a multiple of ${size} numbers, one sample being ${formatShape(features)}`,
      String(flat.length),
    );
  const { isFit, what } = KINDS[type];
  const odd = flat.findIndex((value) => !isFit(value));
  if (odd >= 0)
    throw invalid(
      `${what} in sample ${Math.floor(odd / size)}`,
      `${flat[odd]} at its position ${odd % size}`,
    );
  return { count: flat.length / size, values: typed(flat, type) };
}

/** What each type holds; all samples in one array must be in an array of its own kind. */
const FLOATS = {
  array: Float32Array,
  arrayText: 'a Float32Array of features',
  isFit: isFloat32,
  what: 'finite numbers',
};
const BYTES = {
  array: Uint8Array,
  arrayText: 'a Uint8Array of bytes',
  isFit: isByte,
  what: 'whole numbers from 0 to 255, not scaled,',
};
const TOKENS = {
  array: Int32Array,
  arrayText: 'an Int32Array of token ids',
  isFit: isToken,
  what: 'whole numbers from 0, the ids of tokens,',
};
const KINDS = { float32: FLOATS, uint8: BYTES, int32: TOKENS, int64: TOKENS } as const;

function checkedFlat(samples: unknown, type: InputType): Uint8Array | Float32Array | Int32Array {
  const { array, arrayText } = KINDS[type];
  if (samples instanceof array) return samples;
  const name = Object.prototype.toString.call(samples).slice('[object '.length, -1);
  throw invalid(`${arrayText}, or one array of numbers per sample`, name);
}

function joined(
  rows: readonly ArrayLike<number>[],
  size: number,
  features: readonly number[],
): Float64Array {
  const all = new Float64Array(rows.length * size);
  for (const [index, row] of rows.entries()) {
    if (row.length !== size)
      throw invalid(
        `${size} numbers in sample ${index}, one sample being ${formatShape(features)}`,
        row.length === undefined ? typeof row : String(row.length),
      );
    all.set(row, index * size);
  }
  return all;
}

/** Whether a number is finite as a float32, too. */
function isFloat32(value: number): boolean {
  return Number.isFinite(Math.fround(value));
}

function isByte(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= 255;
}

function isToken(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value < 2 ** 31;
}

function typed(
  flat: Uint8Array | Float32Array | Int32Array | Float64Array,
  type: InputType,
): PackedSamples['values'] {
  if (type === 'uint8') return flat instanceof Uint8Array ? flat : Uint8Array.from(flat);
  if (type === 'int64') return BigInt64Array.from(flat, BigInt);
  if (type === 'int32') return flat instanceof Int32Array ? flat : Int32Array.from(flat);
  return flat instanceof Float32Array ? flat : Float32Array.from(flat);
}

function invalid(expected: string, got: string): ConfigError {
  return new ConfigError(`predicting: expected ${expected}, got ${got}`, [
    { path: 'samples', expected, got },
  ]);
}
