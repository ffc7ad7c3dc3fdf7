/** The values of an ONNX graph: their types, shapes and constants. */
import { GraphError } from '../../base/errors.ts';

/** Element types that our graphs know, each with its ONNX number and bytes per element. */
export const ELEMENT_TYPES = {
  float32: { code: 1, bytes: 4 },
  uint8: { code: 2, bytes: 1 },
  int32: { code: 6, bytes: 4 },
  int64: { code: 7, bytes: 8 },
  bool: { code: 9, bytes: 1 },
} as const;
/** The name of an element type. */
export type ElementType = keyof typeof ELEMENT_TYPES;

/** The element type with an ONNX number; `where` is for the GraphError when we have none. */
export function elementTypeOf(code: number, where: string): ElementType {
  for (const [type, known] of Object.entries(ELEMENT_TYPES)) {
    if (known.code === code) return type as ElementType;
  }
  const expected = Object.keys(ELEMENT_TYPES).join(', ');
  const got = OTHER_TYPES[code] ?? `ONNX type ${code}`;
  const advice = got.includes('float') ? ' Export the model in float32: model.float().' : '';
  throw new GraphError(`${where}: expected an element type of ${expected}, got ${got}.${advice}`, {
    dtype: code,
  });
}

/** Names, for messages, of types that we do not compute in. */
const OTHER_TYPES: Readonly<Record<number, string>> = {
  3: 'int8',
  4: 'uint16',
  5: 'int16',
  8: 'string',
  10: 'float16',
  11: 'float64',
  12: 'uint32',
  13: 'uint64',
  16: 'bfloat16',
};

/** A size, or the name of a size that is known only when the graph runs (`batch`). */
export type Dimension = number | string;
/** Dimensions from the outermost to the innermost; [] is a scalar. */
export type Shape = readonly Dimension[];

/** Type and shape of a value, without its name. */
export interface ValueType {
  readonly type: ElementType;
  readonly shape: Shape;
}

/** A named value of a graph. Builders hand these out as handles. */
export interface ValueInfo extends ValueType {
  readonly name: string;
}

/** Elements of a tensor in row-major order; bool is one byte per element, 0 or 1. */
export type TensorData = Float32Array | Int32Array | BigInt64Array | Uint8Array;

/**
 * A constant of a graph (ONNX calls it an initializer). `name` may be empty inside an attribute.
 */
export interface Tensor {
  readonly name: string;
  readonly type: ElementType;
  readonly shape: readonly number[];
  readonly data: TensorData;
}

/** What attributes can hold; which of these one must hold stands in the operator table. */
export type AttributeValue = number | string | readonly number[] | Tensor;
/** Attributes of a node by name. */
export type Attributes = Readonly<Record<string, AttributeValue>>;
