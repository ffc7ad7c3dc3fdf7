/** Small changes to nodes of a file that was read, each giving a new node. */
import { GraphError } from '../../base/errors.ts';
import type { DecodedNode } from './decode-model.ts';
import type { AttributeValue, Tensor } from '../values/types.ts';

/** What a change may ask of the model around its node. */
export interface Surroundings {
  /** Adds a constant; gives its name, which is new. */
  readonly constant: (near: string, tensor: Omit<Tensor, 'name'>) => string;
  /** A new name for a value. */
  readonly value: (near: string) => string;
  /** The constant of this name, if it is one. */
  readonly constantOf: (name: string) => Tensor | undefined;
  /** Number of axes of the value of this name, where the file says it. */
  readonly rankOf: (name: string) => number | undefined;
}

/** The value of the attribute `name`; undefined when the node has none. */
export function attributeOf(node: DecodedNode, name: string): AttributeValue | undefined {
  return node.attributes.find((attribute) => attribute.name === name)?.value;
}

/** The node with the attribute `name` set, whatever it was before. */
export function withAttribute(node: DecodedNode, name: string, value: AttributeValue): DecodedNode {
  return { ...node, attributes: [...without(node, name).attributes, { name, value }] };
}

/** The node without the attributes of these names. */
export function without(node: DecodedNode, ...names: readonly string[]): DecodedNode {
  return { ...node, attributes: node.attributes.filter(({ name }) => !names.includes(name)) };
}

/** The attribute `name`, a list of integers, as the input at `index`. */
export function intsToInput(
  node: DecodedNode,
  name: string,
  index: number,
  around: Surroundings,
): DecodedNode {
  const value = attributeOf(node, name);
  if (!Array.isArray(value)) return node;
  const data = BigInt64Array.from(value, (item: number) => BigInt(item));
  return toInput(node, name, index, around, { type: 'int64', shape: [data.length], data });
}

/** The attribute `name`, a number, as the input at `index`. */
export function floatToInput(
  node: DecodedNode,
  name: string,
  index: number,
  around: Surroundings,
): DecodedNode {
  const value = attributeOf(node, name);
  if (typeof value !== 'number') return node;
  const data = Float32Array.of(value);
  return toInput(node, name, index, around, { type: 'float32', shape: [], data });
}

/** The node with a constant as the input at `index` instead of the attribute `name`. */
function toInput(
  node: DecodedNode,
  name: string,
  index: number,
  around: Surroundings,
  tensor: Omit<Tensor, 'name'>,
): DecodedNode {
  const constant = around.constant(`${node.outputs[0] ?? ''}.${name}`, tensor);
  return withInput(without(node, name), index, constant);
}

/** The node with `name` as the input at `index`; inputs before it that were absent stay so. */
function withInput(node: DecodedNode, index: number, name: string): DecodedNode {
  const length = Math.max(index + 1, node.inputs.length);
  const inputs = Array.from({ length }, (_, i) => node.inputs[i] ?? '');
  return { ...node, inputs: inputs.with(index, name) };
}

/** The node with an absent input before the one at `index`. */
export function withAbsentInput(node: DecodedNode, index: number): DecodedNode {
  return { ...node, inputs: node.inputs.toSpliced(index, 0, '') };
}

/** The node without its last input, at `index`. Throws GraphError when it has one. */
export function withoutInput(node: DecodedNode, index: number): DecodedNode {
  if ((node.inputs[index] ?? '') === '') return { ...node, inputs: node.inputs.slice(0, index) };
  throw notAt17(node, `its input ${index} has no counterpart at opset 17`);
}

/** The node with its first output only. */
export function firstOutput(node: DecodedNode): DecodedNode {
  return { ...node, outputs: node.outputs.slice(0, 1) };
}

/** A GraphError for a node that opset 17 cannot say. */
export function notAt17({ operator, name }: DecodedNode, reason: string): GraphError {
  return new GraphError(
    `${operator} at ${name}: ${reason}. Export the model with opset_version=17.`,
    { operator, node: name },
  );
}
