/** AttributeProto -> attribute. */
import { GraphError } from '../../base/errors.ts';
import { decodeTensor } from './decode-tensor.ts';
import { ATTRIBUTE_TYPES } from './encode.ts';
import type { ProtoField } from './proto-reader.ts';
import type { AttributeValue } from '../values/types.ts';

/** Attributes hold axes and sizes; what is longer belongs into a tensor. */
const MAX_LIST = 65_536;

/** An attribute of a node as the file has it. */
export interface DecodedAttribute {
  readonly name: string;
  readonly value: AttributeValue;
}

/**
 * Reads an attribute that holds a number, a string, a list of numbers or a tensor; `where` is the
 * operator and node that it belongs to, for messages.
 *
 * Throws: GraphError for anything else, above all subgraphs.
 */
export function decodeAttribute(field: ProtoField, where: string): DecodedAttribute {
  let name = '';
  let type = 0;
  // What proto3 leaves out is the default of its type.
  let float = 0;
  let int = 0;
  let string = '';
  let tensor: AttributeValue | undefined;
  const ints: number[] = [];
  const floats: number[] = [];
  field.message({
    1: (inner) => (name = inner.string()), // name
    2: (inner) => (float = inner.float()), // f
    3: (inner) => (int = inner.int()), // i
    4: (inner) => (string = inner.string()), // s
    5: (inner) => (tensor = decodeTensor(inner)), // t
    7: (inner) => append(floats, inner.floats(), `${where}: attribute ${name}`), // floats
    8: (inner) => append(ints, inner.ints(), `${where}: attribute ${name}`), // ints
    20: (inner) => (type = inner.int()), // type
    21: () => {
      throw new GraphError(
        `${where}: attribute ${name}: references to function attributes are not supported`,
      );
    }, // ref_attr_name
  });
  const values: Readonly<Record<number, AttributeValue | undefined>> = {
    [ATTRIBUTE_TYPES.float]: float,
    [ATTRIBUTE_TYPES.int]: int,
    [ATTRIBUTE_TYPES.string]: string,
    [ATTRIBUTE_TYPES.tensor]: tensor,
    [ATTRIBUTE_TYPES.floats]: floats,
    [ATTRIBUTE_TYPES.ints]: ints,
  };
  return { name, value: values[type] ?? refuseType(`${where}: attribute ${name}`, type) };
}

/** Types 5 and 10 are subgraphs, which hold nodes that nobody would check. */
function refuseType(what: string, type: number): never {
  const got =
    type === 5 || type === 10
      ? 'a subgraph (If, Loop, Scan). Export by tracing, with sizes and loops that are fixed'
      : `type ${type}`;
  throw new GraphError(`${what}: expected a number, string, list of numbers or tensor, got ${got}`);
}

function append(list: number[], items: Float32Array | readonly number[], what: string): void {
  if (list.length + items.length > MAX_LIST)
    throw new GraphError(`${what}: expected a list of at most ${MAX_LIST} numbers`);
  for (const item of items) list.push(item);
}
