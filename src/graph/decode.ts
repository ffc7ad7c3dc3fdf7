/** ONNX file -> Graph. Field numbers are those of onnx.proto3; what they mean stands beside them. */
import { GraphError } from '../base/errors.ts';
import { decodeAttribute, type DecodedAttribute } from './decode-attribute.ts';
import { decodeTensor } from './decode-tensor.ts';
import { GraphBuilder } from './builder.ts';
import { attributeKind, isOperatorName, OPERATORS, type OperatorName } from './operators.ts';
import { readMessage, type FieldHandler, type ProtoField } from './proto-reader.ts';
import {
  elementTypeOf,
  type AttributeValue,
  type Dimension,
  type Graph,
  type Tensor,
  type ValueInfo,
} from './types.ts';

/** Opsets whose operators mean the same as at 17, for all operators that we know. */
const OPSETS = { least: 13, greatest: 17 } as const;

interface DecodedNode {
  readonly operator: string;
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: readonly DecodedAttribute[];
}

interface DecodedGraph {
  readonly name: string;
  readonly nodes: readonly DecodedNode[];
  readonly initializers: readonly Tensor[];
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
}

/**
 * Reads an `.onnx` file and infers every shape in it.
 *
 * Untrusted bytes are fine. What an ONNX Runtime is to load is `encodeGraph` of the result: nothing that was
 * skipped here gets through. `Constant` nodes become initializers.
 * Throws: GraphError for bytes that are not a model, operators or domains that we do not know, opsets outside
 *         13 .. 17, external data, functions, subgraphs and sparse tensors; ShapeError for shapes that do not fit.
 */
export function decodeGraph(bytes: Uint8Array): Graph {
  const graphs: DecodedGraph[] = [];
  let opset: number | undefined;
  readMessage(bytes, 'ONNX model', {
    7: (field) => void graphs.push(decodeGraphMessage(field)), // graph
    8: (field) => (opset = decodeOpset(field) ?? opset), // opset_import
    20: refuse('training information'),
    25: refuse('functions'),
  });
  const [graph] = graphs;
  if (graph === undefined || graphs.length > 1) {
    throw new GraphError(`reading ONNX model: expected one graph, got ${graphs.length}`);
  }
  if (opset === undefined || opset < OPSETS.least || opset > OPSETS.greatest) {
    throw new GraphError(
      `reading ONNX model: expected opset ${OPSETS.least} to ${OPSETS.greatest}, got ${opset ?? 'none'}. Export it with opset_version=17.`,
      { opset },
    );
  }
  return buildGraph(graph);
}

function decodeOpset(field: ProtoField): number | undefined {
  let domain = '';
  let version: number | undefined;
  field.message({
    1: (inner) => (domain = inner.string()),
    2: (inner) => (version = inner.int()),
  });
  requireStandardDomain(domain, 'the model');
  return version;
}

function decodeGraphMessage(field: ProtoField): DecodedGraph {
  let name = '';
  const nodes: DecodedNode[] = [];
  const initializers: Tensor[] = [];
  const inputs: ValueInfo[] = [];
  const outputs: ValueInfo[] = [];
  field.message({
    1: (inner) => void nodes.push(decodeNode(inner)), // node
    2: (inner) => (name = inner.string()), // name
    5: (inner) => void initializers.push(decodeTensor(inner)), // initializer
    11: (inner) => void inputs.push(decodeValueInfo(inner)), // input
    12: (inner) => void outputs.push(decodeValueInfo(inner)), // output
    15: refuse('sparse initializers'),
  });
  return { name, nodes, initializers, inputs, outputs };
}

function decodeNode(field: ProtoField): DecodedNode {
  let operator = '';
  let name = '';
  let domain = '';
  const inputs: string[] = [];
  const outputs: string[] = [];
  const attributes: DecodedAttribute[] = [];
  field.message({
    1: (inner) => void inputs.push(inner.string()), // input
    2: (inner) => void outputs.push(inner.string()), // output
    3: (inner) => (name = inner.string()), // name
    4: (inner) => (operator = inner.string()), // op_type
    5: (inner) => void attributes.push(decodeAttribute(inner)), // attribute
    7: (inner) => (domain = inner.string()), // domain
  });
  requireStandardDomain(domain, `${operator} at ${name}`);
  return { operator, name, inputs, outputs, attributes };
}

function decodeValueInfo(field: ProtoField): ValueInfo {
  let name = '';
  let type = 0;
  const shape: Dimension[] = [];
  const readDimension: FieldHandler = (inner) => {
    let dimension: Dimension = '';
    inner.message({
      1: (size) => (dimension = size.int()), // dim_value
      2: (symbol) => (dimension = symbol.string()), // dim_param
    });
    shape.push(dimension);
  };
  const readTensorType: FieldHandler = (tensorType) =>
    tensorType.message({
      1: (inner) => (type = inner.int()), // elem_type
      2: (inner) => inner.message({ 1: readDimension }), // shape, dim
    });
  field.message({
    1: (inner) => (name = inner.string()), // name
    2: (inner) =>
      inner.message({
        1: readTensorType, // tensor_type
        4: refuse('sequence values'),
        5: refuse('map values'),
        8: refuse('sparse values'),
        9: refuse('optional values'),
      }), // type
  });
  return { name, type: elementTypeOf(type, `value ${name}`), shape };
}

function buildGraph(decoded: DecodedGraph): Graph {
  const g = new GraphBuilder(decoded.name);
  const initializers = new Set(decoded.initializers.map(({ name }) => name));
  // Old files list initializers as inputs, too, as defaults that a caller could override.
  for (const { name, type, shape } of decoded.inputs) if (!initializers.has(name)) g.input(name, type, shape);
  for (const { name, type, shape, data } of decoded.initializers) g.initializer(name, type, shape, data);
  const names = new Set<string>();
  for (const [index, node] of decoded.nodes.entries()) {
    const name = node.name === '' || names.has(node.name) ? `${node.operator}.${index}` : node.name;
    names.add(name);
    const constant = node.operator === 'Constant' ? constantOf(node) : undefined;
    if (constant) g.initializer(node.outputs[0] ?? '', constant.type, constant.shape, constant.data);
    else g.append({ ...node, name, operator: knownOperator(node), attributes: attributesOf(node) });
  }
  for (const { name } of decoded.outputs) g.output(name, g.value(name));
  const graph = g.build();
  for (const [index, { type, name }] of decoded.outputs.entries()) {
    const inferred = graph.outputs[index]?.type;
    if (inferred === type) continue;
    throw new GraphError(`output ${name}: expected ${inferred}, got ${type}`, { output: name });
  }
  return graph;
}

function constantOf({ name, attributes }: DecodedNode): Tensor {
  const value = attributes.find((attribute) => attribute.name === 'value')?.value;
  if (typeof value === 'object' && 'data' in value) return value;
  throw new GraphError(`Constant at ${name}: expected a tensor in the attribute value`, { node: name });
}

function knownOperator({ operator, name }: DecodedNode): OperatorName {
  if (isOperatorName(operator)) return operator;
  throw new GraphError(
    `${operator} at ${name}: not an operator that we know. Known: ${Object.keys(OPERATORS).sort().join(', ')}.`,
    { operator, node: name },
  );
}

function attributesOf(node: DecodedNode): Record<string, AttributeValue> {
  const operator = knownOperator(node);
  const attributes: Record<string, AttributeValue> = {};
  for (const { name, value } of node.attributes) {
    const kind = attributeKind(operator, name);
    // Refused before it can become a key: the name is the file's.
    if (kind === undefined || Object.hasOwn(attributes, name)) {
      throw new GraphError(`${operator} at ${node.name}: unexpected attribute ${name}`, {
        operator,
        node: node.name,
      });
    }
    attributes[name] =
      kind === 'elementType' ? elementTypeOf(Number(value), `${operator} at ${node.name}`) : value;
  }
  return attributes;
}

function requireStandardDomain(domain: string, where: string): void {
  if (domain === '' || domain === 'ai.onnx') return;
  throw new GraphError(`${where}: expected the standard domain, got ${domain}`, { domain });
}

function refuse(what: string): FieldHandler {
  return () => {
    throw new GraphError(`reading ONNX model: ${what} are not supported`);
  };
}
