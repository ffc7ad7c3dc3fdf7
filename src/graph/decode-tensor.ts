/** TensorProto -> Tensor. */
import { GraphError } from '../base/errors.ts';
import type { ProtoField } from './proto-reader.ts';
import { formatShape, shapeProblem, staticElementCount } from './shape.ts';
import { ELEMENT_TYPES, elementTypeOf, type ElementType, type Tensor, type TensorData } from './types.ts';

/**
 * Reads a tensor whose elements are in the file: as raw little-endian bytes, or in the list of their type.
 *
 * Throws: GraphError when the elements lie in another file, or are not as many as the shape says.
 */
export function decodeTensor(field: ProtoField): Tensor {
  let name = '';
  let code = 0;
  let raw: Uint8Array | undefined;
  const shape: number[] = [];
  const floats: number[][] = [];
  const integers: bigint[][] = [];
  field.message({
    1: (inner) => appendTo(shape, inner.ints()), // dims
    2: (inner) => (code = inner.int()), // data_type
    3: () => refuse(name, 'segments'), // segment
    4: (inner) => void floats.push(inner.floats()), // float_data
    5: (inner) => void integers.push(inner.bigints()), // int32_data, also bool
    7: (inner) => void integers.push(inner.bigints()), // int64_data
    8: (inner) => (name = inner.string()), // name
    9: (inner) => (raw = inner.bytes()), // raw_data
    13: () => refuse(name, 'external data'), // external_data
    14: (inner) => (inner.int() === 0 ? undefined : refuse(name, 'external data')), // data_location
  });
  const type = elementTypeOf(code, `tensor ${name}`);
  const problem = shapeProblem(shape);
  if (problem !== undefined) throw new GraphError(`tensor ${name}: ${problem}`, { tensor: name });
  const data = raw === undefined ? fromLists(type, floats.flat(), integers.flat()) : fromRaw(name, type, raw);
  if (data.length !== staticElementCount(shape)) {
    throw new GraphError(
      `tensor ${name}: expected ${staticElementCount(shape)} elements for ${formatShape(shape)}, got ${data.length}`,
      { tensor: name },
    );
  }
  return { name, type, shape, data };
}

/** A copy: what was received need not be aligned, and may be reused. */
function fromRaw(name: string, type: ElementType, raw: Uint8Array): TensorData {
  if (raw.length % ELEMENT_TYPES[type].bytes !== 0) refuse(name, 'parts of elements');
  const { buffer } = new Uint8Array(raw);
  if (type === 'float32') return new Float32Array(buffer);
  if (type === 'int32') return new Int32Array(buffer);
  if (type === 'int64') return new BigInt64Array(buffer);
  return new Uint8Array(buffer).map((byte) => Number(byte !== 0));
}

function fromLists(type: ElementType, floats: readonly number[], integers: readonly bigint[]): TensorData {
  if (type === 'float32') return Float32Array.from(floats);
  if (type === 'int64') return BigInt64Array.from(integers);
  if (type === 'int32') return Int32Array.from(integers, Number);
  return Uint8Array.from(integers, (value) => Number(value !== 0n));
}

function appendTo(target: number[], items: readonly number[]): void {
  for (const item of items) target.push(item);
}

function refuse(name: string, what: string): never {
  throw new GraphError(`tensor ${name}: ${what} are not supported`, { tensor: name });
}
