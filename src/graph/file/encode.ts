/** Graph -> ONNX file. Field numbers are those of onnx.proto3 at IR version 8. */
import { GraphError } from '../../base/errors.ts';
import { attributeKind } from '../operators/operators.ts';
import { ProtoWriter } from './proto-writer.ts';
import { type GraphFile, type GraphNode } from '../types.ts';
import {
  ELEMENT_TYPES,
  type AttributeValue,
  type ElementType,
  type Tensor,
  type TensorData,
  type ValueInfo,
} from '../values/types.ts';

/** The version of the ONNX file format that is written. */
const IR_VERSION = 8;
/** The opset that is written, and that every graph is in. */
const OPSET_VERSION = 17;
const MAX_FILE_BYTES = 2 ** 31 - 1;

/** The numbers of AttributeProto.AttributeType. */
export const ATTRIBUTE_TYPES = {
  float: 1,
  int: 2,
  string: 3,
  tensor: 4,
  floats: 6,
  ints: 7,
} as const;

declare const isOurs: unique symbol;
/**
 * Bytes that `encodeGraph` wrote: there is nothing in them that we do not know, and nothing that
 * names another file. What a peer sent is not, whatever it looks like.
 */
export type EncodedGraph = Uint8Array & { readonly [isOurs]: true };

/**
 * The graph as the bytes of an `.onnx` file: IR version 8, opset 17 of the standard domain;
 * `literals` as Constant nodes.
 *
 * The same graph always gives the same bytes. Shapes of intermediate values are left out: they
 * follow from the rest, and the file is what travels to every worker.
 */
export function encodeGraph(graph: GraphFile): EncodedGraph {
  return writeModel(graph).finish() as EncodedGraph;
}

/**
 * The same bytes in pieces, for a file with much data in it: constants are not copied, and must not
 * change before the pieces are used.
 */
export function encodeGraphParts(graph: GraphFile): readonly Uint8Array[] {
  return writeModel(graph).parts();
}

/** Throws GraphError when the file would be larger than the format allows. */
function writeModel(graph: GraphFile): ProtoWriter {
  const model = new ProtoWriter();
  model.int(1, IR_VERSION);
  model.string(2, 'lockstep');
  model.message(7, (out) => writeGraph(out, graph));
  model.message(8, (out) => {
    out.string(1, '');
    out.int(2, OPSET_VERSION);
  });
  for (const [key, value] of graph.metadata ?? [])
    model.message(14, (out) => {
      out.string(1, key);
      out.string(2, value);
    });
  if (model.length > MAX_FILE_BYTES) {
    const gibibytes = (model.length / 2 ** 30).toFixed(1);
    throw new GraphError(
      `encoding ${graph.name}: expected an ONNX file of at most 2 GiB, as protobuf allows, ` +
        `got ${gibibytes} GiB. Choose a smaller model.`,
    );
  }
  return model;
}

function writeGraph(out: ProtoWriter, graph: GraphFile): void {
  const isLiteral = ({ name }: Tensor): boolean => graph.literals?.has(name) === true;
  for (const tensor of graph.initializers.filter(isLiteral))
    out.message(1, (inner) => writeConstant(inner, tensor));
  for (const node of graph.nodes) out.message(1, (inner) => writeNode(inner, node));
  out.string(2, graph.name);
  for (const tensor of graph.initializers.filter((one) => !isLiteral(one)))
    out.message(5, (inner) => writeTensor(inner, tensor));
  for (const input of graph.inputs) out.message(11, (inner) => writeValueInfo(inner, input));
  for (const output of graph.outputs) out.message(12, (inner) => writeValueInfo(inner, output));
}

function writeConstant(out: ProtoWriter, tensor: Tensor): void {
  out.string(2, tensor.name);
  out.string(3, tensor.name);
  out.string(4, 'Constant');
  out.message(5, (attribute) => {
    attribute.string(1, 'value');
    attribute.message(5, (inner) => writeTensor(inner, tensor));
    attribute.int(20, ATTRIBUTE_TYPES.tensor);
  });
}

function writeNode(out: ProtoWriter, node: GraphNode): void {
  for (const input of node.inputs) out.string(1, input);
  for (const output of node.outputs) out.string(2, output);
  out.string(3, node.name);
  out.string(4, node.operator);
  // Sorted, so that the order in which an object was written does not reach the bytes.
  for (const name of Object.keys(node.attributes).sort()) {
    const value = node.attributes[name];
    if (value !== undefined) out.message(5, (inner) => writeAttribute(inner, node, name, value));
  }
}

function writeAttribute(
  out: ProtoWriter,
  node: GraphNode,
  name: string,
  value: AttributeValue,
): void {
  const kind = attributeKind(node.operator, name);
  out.string(1, name);
  if (kind === 'float' && typeof value === 'number') {
    out.float(2, value);
    out.int(20, ATTRIBUTE_TYPES.float);
  } else if (kind === 'int' && typeof value === 'number') {
    out.int(3, value);
    out.int(20, ATTRIBUTE_TYPES.int);
  } else if (kind === 'elementType' && typeof value === 'string') {
    out.int(3, ELEMENT_TYPES[value as ElementType].code);
    out.int(20, ATTRIBUTE_TYPES.int);
  } else if (kind === 'string' && typeof value === 'string') {
    out.string(4, value);
    out.int(20, ATTRIBUTE_TYPES.string);
  } else if (kind === 'tensor' && typeof value === 'object' && 'data' in value) {
    out.message(5, (inner) => writeTensor(inner, value));
    out.int(20, ATTRIBUTE_TYPES.tensor);
  } else if (kind === 'ints' && typeof value === 'object' && !('data' in value)) {
    for (const item of value) out.int(8, item);
    out.int(20, ATTRIBUTE_TYPES.ints);
  } else {
    throw new GraphError(
      `encoding ${node.name}: attribute ${name} does not belong to ${node.operator}`,
      { operator: node.operator, node: node.name },
    );
  }
}

function writeTensor(out: ProtoWriter, tensor: Tensor): void {
  for (const size of tensor.shape) out.int(1, size);
  out.int(2, ELEMENT_TYPES[tensor.type].code);
  if (tensor.name !== '') out.string(8, tensor.name);
  out.bytes(9, littleEndianBytes(tensor.data));
}

/**
 * Typed arrays are little-endian wherever ONNX Runtime and WebAssembly run, and so are ONNX files.
 */
function littleEndianBytes(data: TensorData): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

function writeValueInfo(out: ProtoWriter, value: ValueInfo): void {
  out.string(1, value.name);
  out.message(2, (typeProto) =>
    typeProto.message(1, (tensorType) => {
      tensorType.int(1, ELEMENT_TYPES[value.type].code);
      tensorType.message(2, (shape) => {
        for (const dimension of value.shape) {
          shape.message(1, (inner) => {
            if (typeof dimension === 'number') inner.int(1, dimension);
            else inner.string(2, dimension);
          });
        }
      });
    }),
  );
}
