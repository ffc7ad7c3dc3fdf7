/**
 * Bytes of an ONNX file -> what is in them, before anything is known of operators. Field numbers
 * are those of onnx.proto3.
 */
import { GraphError } from '../../base/errors.ts';
import { decodeAttribute, type DecodedAttribute } from './decode-attribute.ts';
import { decodeTensor } from './decode-tensor.ts';
import { readMessage, type FieldHandler, type ProtoField } from './proto-reader.ts';
import { elementTypeOf, type Dimension, type Tensor, type ValueInfo } from '../values/types.ts';

/** A node as the file has it: the operator may be unknown to us, the name empty or taken. */
export interface DecodedNode {
  readonly operator: string;
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: readonly DecodedAttribute[];
}

/** The one graph of a file. */
export interface DecodedModel {
  readonly opset: number;
  /** What the file says of itself; of two entries of one name the later. */
  readonly metadata: ReadonlyMap<string, string>;
  readonly name: string;
  readonly nodes: readonly DecodedNode[];
  readonly initializers: readonly Tensor[];
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
}

// Far above what networks have: an entry of two bytes becomes an object of hundreds.
const MAX_NODES = 100_000;
const MAX_TENSORS = 100_000;
const MAX_METADATA = 1_000;
/** Most attributes, and most inputs or outputs, of one node. */
const MAX_ATTRIBUTES = 64;
const MAX_VALUES = 10_000;
const MAX_RANK = 32;

/**
 * Reads the messages of an `.onnx` file.
 *
 * Throws: GraphError for bytes that are not a model, for more than one graph, and for what could
 *         hide from the checks behind it: foreign domains, functions, subgraphs, sparse tensors,
 *         data in other files.
 */
export function decodeModel(bytes: Uint8Array): DecodedModel {
  const graphs: DecodedGraph[] = [];
  const metadata: (readonly [string, string])[] = [];
  let opset: number | undefined;
  readMessage(bytes, 'ONNX model', {
    7: (field) => keep(graphs, decodeGraphMessage(field), 1, 'graphs'), // graph
    8: (field) => (opset = decodeOpset(field) ?? opset), // opset_import
    // metadata_props
    14: (field) => keep(metadata, decodeEntry(field), MAX_METADATA, 'entries of metadata'),
    20: refuse('training information'),
    25: refuse('functions'),
  });
  const [graph] = graphs;
  if (graph === undefined) throw new GraphError('reading ONNX model: expected one graph, got none');
  if (opset === undefined)
    throw new GraphError('reading ONNX model: expected an opset version, got none');
  return { opset, metadata: new Map(metadata), ...graph };
}

function decodeEntry(field: ProtoField): readonly [string, string] {
  let [key, value] = ['', ''];
  field.message({ 1: (inner) => (key = inner.string()), 2: (inner) => (value = inner.string()) });
  return [key, value];
}

function decodeOpset(field: ProtoField): number | undefined {
  let domain = '';
  let version: number | undefined;
  field.message({ 1: (inner) => (domain = inner.string()), 2: (inner) => (version = inner.int()) });
  // A domain that is declared and not used does no harm; one that a node uses is refused there.
  return isStandardDomain(domain) ? version : undefined;
}

type DecodedGraph = Omit<DecodedModel, 'opset' | 'metadata'>;

function decodeGraphMessage(field: ProtoField): DecodedGraph {
  let name = '';
  const nodes: DecodedNode[] = [];
  const initializers: Tensor[] = [];
  const inputs: ValueInfo[] = [];
  const outputs: ValueInfo[] = [];
  field.message({
    1: (inner) => keep(nodes, decodeNode(inner, nodes.length), MAX_NODES, 'nodes'), // node
    2: (inner) => (name = inner.string()), // name
    // initializer
    5: (inner) => keep(initializers, decodeTensor(inner), MAX_TENSORS, 'initializers'),
    11: (inner) => keep(inputs, decodeValueInfo(inner), MAX_TENSORS, 'inputs'), // input
    12: (inner) => keep(outputs, decodeValueInfo(inner), MAX_TENSORS, 'outputs'), // output
    15: refuse('sparse initializers'),
  });
  return { name, nodes, initializers, inputs, outputs };
}

function decodeNode(field: ProtoField, index: number): DecodedNode {
  let operator = '';
  let name = '';
  let domain = '';
  const inputs: string[] = [];
  const outputs: string[] = [];
  const fields: ProtoField[] = [];
  field.message({
    1: (inner) => keep(inputs, inner.string(), MAX_VALUES, 'inputs of one node'), // input
    2: (inner) => keep(outputs, inner.string(), MAX_VALUES, 'outputs of one node'), // output
    3: (inner) => (name = inner.string()), // name
    4: (inner) => (operator = inner.string()), // op_type
    5: (inner) => keep(fields, inner, MAX_ATTRIBUTES, 'attributes of one node'), // attribute
    7: (inner) => (domain = inner.string()), // domain
  });
  const where = `${operator} at ${name === '' ? `node ${index}` : name}`;
  if (!isStandardDomain(domain)) {
    throw new GraphError(
      `${where}: expected an operator of the standard domain, got ${domain}. Export the network ` +
        'anew, without an optimizer that fuses its nodes.',
      { domain, operator, node: name },
    );
  }
  const attributes = fields.map((one) => decodeAttribute(one, where));
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
    keep(shape, dimension, MAX_RANK, 'sizes of one value');
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

function isStandardDomain(domain: string): boolean {
  return domain === '' || domain === 'ai.onnx';
}

function keep<T>(list: T[], item: T, most: number, what: string): void {
  if (list.push(item) > most)
    throw new GraphError(`reading ONNX model: expected at most ${most} ${what}`);
}

function refuse(what: string): FieldHandler {
  return () => {
    throw new GraphError(`reading ONNX model: ${what} are not supported`);
  };
}
