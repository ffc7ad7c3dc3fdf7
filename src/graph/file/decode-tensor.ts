/** TensorProto -> Tensor. */
import { GraphError } from '../../base/errors.ts';
import type { ProtoField } from './proto-reader.ts';
import { formatShape, shapeProblem, staticElementCount } from '../values/shape.ts';
import {
  ELEMENT_TYPES,
  elementTypeOf,
  type ElementType,
  type Tensor,
  type TensorData,
} from '../values/types.ts';

/** ONNX's number of doubles. They are rounded to float32, in which everything is computed. */
const FLOAT64 = 11;
/**
 * A list may come in parts, even one element each; more of them is a file made to fill the memory.
 */
const MAX_PARTS = 65_536;
const MAX_RANK = 32;

/**
 * Reads a tensor whose elements are in the file: as raw bytes, or in the list of their type.
 *
 * Throws: GraphError when the elements lie in another file, are of a type that we do not compute
 *         in, or are not as many as the shape says.
 */
export function decodeTensor(field: ProtoField): Tensor {
  let name = '';
  let code = 0;
  let raw: Uint8Array | undefined;
  const shape: number[] = [];
  const floats: Float32Array[] = [];
  const doubles: Float64Array[] = [];
  const integers: BigInt64Array[] = [];
  const keep = <T>(parts: T[], part: T): void => {
    if (parts.push(part) > MAX_PARTS) refuse(name, `lists of more than ${MAX_PARTS} parts`);
  };
  field.message({
    1: (inner) => appendSizes(name, shape, inner.ints()), // dims
    2: (inner) => (code = inner.int()), // data_type
    3: () => refuse(name, 'segments'), // segment
    4: (inner) => keep(floats, inner.floats()), // float_data
    5: (inner) => keep(integers, inner.bigints()), // int32_data, also bool and uint8
    7: (inner) => keep(integers, inner.bigints()), // int64_data
    8: (inner) => (name = inner.string()), // name
    9: (inner) => (raw = inner.bytes()), // raw_data
    10: (inner) => keep(doubles, inner.doubles()), // double_data
    13: () => refuseExternal(name), // external_data
    14: (inner) => (inner.int() === 0 ? undefined : refuseExternal(name)), // data_location
  });
  const type = code === FLOAT64 ? 'float32' : elementTypeOf(code, `tensor ${name}`);
  const problem = shapeProblem(shape);
  if (problem !== undefined) throw new GraphError(`tensor ${name}: ${problem}`, { tensor: name });
  const data =
    raw !== undefined
      ? fromRaw(name, code, type, raw)
      : code === FLOAT64
        ? joinedFloats(doubles)
        : fromLists(type, joinedFloats(floats), joinedIntegers(integers));
  checkCount(name, shape, data.length);
  return { name, type, shape, data };
}

function checkCount(name: string, shape: readonly number[], count: number): void {
  const expected = staticElementCount(shape);
  if (count === expected) return;
  throw new GraphError(
    `tensor ${name}: expected ${expected} elements for ${formatShape(shape)}, got ${count}`,
    { tensor: name },
  );
}

/** A copy: what was received need not be aligned, and may be reused. */
function fromRaw(name: string, code: number, type: ElementType, raw: Uint8Array): TensorData {
  const bytes = code === FLOAT64 ? 8 : ELEMENT_TYPES[type].bytes;
  if (raw.length % bytes !== 0) refuse(name, 'parts of elements');
  const { buffer } = new Uint8Array(raw);
  if (code === FLOAT64) return Float32Array.from(new Float64Array(buffer));
  if (type === 'float32') return new Float32Array(buffer);
  if (type === 'int32') return new Int32Array(buffer);
  if (type === 'int64') return new BigInt64Array(buffer);
  if (type === 'uint8') return new Uint8Array(buffer);
  return new Uint8Array(buffer).map((byte) => Number(byte !== 0));
}

function fromLists(type: ElementType, floats: Float32Array, integers: BigInt64Array): TensorData {
  if (type === 'float32') return floats;
  if (type === 'int64') return integers;
  if (type === 'int32') return Int32Array.from(integers, Number);
  if (type === 'uint8') return Uint8Array.from(integers, Number);
  return Uint8Array.from(integers, (value) => Number(value !== 0n));
}

/** The parts of a list one after the other, rounded to float32. */
function joinedFloats(parts: readonly (Float32Array | Float64Array)[]): Float32Array {
  const whole = new Float32Array(countOf(parts));
  eachPart(parts, (part, offset) => whole.set(part, offset));
  return whole;
}

function joinedIntegers(parts: readonly BigInt64Array[]): BigInt64Array {
  const whole = new BigInt64Array(countOf(parts));
  eachPart(parts, (part, offset) => whole.set(part, offset));
  return whole;
}

function countOf(parts: readonly { readonly length: number }[]): number {
  return parts.reduce((count, { length }) => count + length, 0);
}

/** Calls `copy` for every part with the place where it begins in the whole. */
function eachPart<T extends { readonly length: number }>(
  parts: readonly T[],
  copy: (part: T, offset: number) => void,
): void {
  let offset = 0;
  for (const part of parts) {
    copy(part, offset);
    offset += part.length;
  }
}

function appendSizes(name: string, shape: number[], sizes: readonly number[]): void {
  if (shape.length + sizes.length > MAX_RANK) refuse(name, `shapes of more than ${MAX_RANK} sizes`);
  shape.push(...sizes);
}

function refuseExternal(name: string): never {
  throw new GraphError(
    `tensor ${name}: its elements lie in another file, which is not supported. Save the model ` +
      'as one file (onnx.save with save_as_external_data=False, torch.onnx.export with ' +
      'external_data=False).',
    { tensor: name },
  );
}

function refuse(name: string, what: string): never {
  throw new GraphError(`tensor ${name}: ${what} are not supported`, { tensor: name });
}
