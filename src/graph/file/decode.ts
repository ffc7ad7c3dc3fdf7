/** ONNX file -> Graph. */
import { GraphError } from '../../base/errors.ts';
import { GraphBuilder } from '../builder.ts';
import { decodeModel, type DecodedNode } from './decode-model.ts';
import { attributeKind, isOperatorName, type OperatorName } from '../operators/operators.ts';
import { toOpset17 } from './opset.ts';
import { unknownOperator } from './unknown-operator.ts';
import { type Graph, type GraphFile, type GraphNode } from '../types.ts';
import { elementTypeOf, type AttributeValue } from '../values/types.ts';

/**
 * Reads an `.onnx` file and infers every shape in it, which must follow from sizes and constants
 * alone; of others `decodeGraphFile` gives as much as can be known.
 *
 * Throws: as `decodeGraphFile`; ShapeError for shapes that do not fit.
 */
export function decodeGraph(bytes: Uint8Array): Graph {
  const file = decodeGraphFile(bytes);
  const graph = GraphBuilder.from(file).build();
  for (const [index, { type, name }] of file.outputs.entries()) {
    const inferred = graph.outputs[index]?.type;
    if (inferred === type) continue;
    throw new GraphError(`output ${name}: expected ${inferred}, got ${type}`, { output: name });
  }
  return graph;
}

/**
 * Reads an `.onnx` file, whatever opset from 9 to 21, as opset 17.
 *
 * Untrusted bytes are fine. What an ONNX Runtime is to load is `encodeGraph` of the result: nothing
 * that was skipped here gets through. `Constant` nodes become initializers
 * (`literals`).
 * Throws: GraphError for bytes that are not a model, operators or domains that we do not know,
 *         opsets outside 9 .. 21, external data, functions, subgraphs and sparse tensors, names
 *         that are taken twice, and nodes that are not in the order of the computation.
 */
export function decodeGraphFile(bytes: Uint8Array): GraphFile {
  const model = toOpset17(decodeModel(bytes));
  const initializers = new Set(model.initializers.map(({ name }) => name));
  // Old files list initializers as inputs, too, as defaults that a caller could override.
  const inputs = model.inputs.filter(({ name }) => !initializers.has(name));
  const nodes = namedNodes(model.nodes);
  const file: GraphFile = {
    name: model.name,
    inputs,
    outputs: model.outputs,
    initializers: model.initializers,
    nodes,
    literals: model.literals,
    ...(model.metadata.size > 0 && { metadata: model.metadata }),
  };
  checkOrder(file);
  return file;
}

/** Nodes with names of their own, known operators and typed attributes. */
function namedNodes(nodes: readonly DecodedNode[]): GraphNode[] {
  const names = new Set<string>();
  return nodes.map((node, index) => {
    const name = node.name === '' || names.has(node.name) ? `${node.operator}.${index}` : node.name;
    names.add(name);
    const operator = knownOperator({ ...node, name });
    return { ...node, name, operator, attributes: attributesOf(node, operator) };
  });
}

/**
 * Every value is made once, and before it is used: what is circular or out of order is found here.
 */
function checkOrder({ name, inputs, outputs, initializers, nodes }: GraphFile): void {
  const known = new Set<string>();
  const define = (value: string, where: string): void => {
    if (value !== '' && known.has(value)) {
      throw new GraphError(`${where}: the name ${value} is taken already`, { value });
    }
    known.add(value);
  };
  const use = (value: string, where: string): void => {
    if (value === '' || known.has(value)) return;
    throw new GraphError(
      `${where}: nothing before it makes ${value}. The nodes are circular, out of order or ` +
        'incomplete.',
      { value },
    );
  };
  for (const input of inputs) define(input.name, `input of ${name}`);
  for (const initializer of initializers) define(initializer.name, `initializer of ${name}`);
  for (const node of nodes) {
    const where = `${node.operator} at ${node.name}`;
    for (const input of node.inputs) use(input, where);
    for (const output of node.outputs) define(output, where);
  }
  for (const output of outputs) use(output.name, `output of ${name}`);
}

function knownOperator(node: DecodedNode): OperatorName {
  if (isOperatorName(node.operator)) return node.operator;
  throw unknownOperator(node);
}

function attributesOf(node: DecodedNode, operator: OperatorName): Record<string, AttributeValue> {
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
