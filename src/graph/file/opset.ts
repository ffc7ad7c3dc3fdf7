/**
 * A model of another opset -> the same computation at opset 17, in the form that inference takes.
 */
import { GraphError } from '../../base/errors.ts';
import type { DecodedModel, DecodedNode } from './decode-model.ts';
import { attributeOf, type Surroundings } from './node-edits.ts';
import { OPSET_REWRITES } from './opset-rewrites.ts';
import type { Tensor } from '../values/types.ts';

/** Oldest and newest opset whose nodes we can rewrite. */
const OPSETS = { least: 9, greatest: 21 } as const;

/** A model at opset 17, with the names of its initializers that were no initializers before. */
export interface ModelAt17 extends DecodedModel {
  readonly literals: ReadonlySet<string>;
}

/**
 * The model at opset 17: `Constant` nodes as initializers, Dropout and BatchNormalization as
 * inference has them.
 *
 * Throws: GraphError for opsets outside 9 to 21 and for nodes that cannot be written at 17, naming
 *         them.
 */
export function toOpset17(model: DecodedModel): ModelAt17 {
  const { opset } = model;
  if (opset < OPSETS.least || opset > OPSETS.greatest) {
    throw new GraphError(
      `reading ONNX model: expected opset ${OPSETS.least} to ${OPSETS.greatest}, got ` +
        `${opset}. Export it with opset_version=17.`,
      { opset },
    );
  }
  const initializers = [
    ...model.initializers,
    ...model.nodes.filter(({ operator }) => operator === 'Constant').map(constantOf),
  ];
  const around = surroundingsOf(model, initializers);
  const nodes = model.nodes
    .filter(({ operator }) => operator !== 'Constant')
    .flatMap((node) => rewritten(node, opset, around));
  const added = initializers.slice(model.initializers.length);
  const literals = new Set(added.map(({ name }) => name));
  return { ...model, opset: 17, nodes, initializers, literals };
}

function rewritten(node: DecodedNode, opset: number, around: Surroundings): readonly DecodedNode[] {
  const rules = Object.hasOwn(OPSET_REWRITES, node.operator)
    ? OPSET_REWRITES[node.operator]
    : undefined;
  let nodes: readonly DecodedNode[] = [node];
  for (const { below = Infinity, from = 0, rewrite } of rules ?? []) {
    if (opset < below && opset >= from) nodes = nodes.flatMap((one) => rewrite(one, around));
  }
  return nodes;
}

/** Constants that rewriting adds go into `initializers`. */
function surroundingsOf(model: DecodedModel, initializers: Tensor[]): Surroundings {
  const constants = new Map(initializers.map((tensor) => [tensor.name, tensor]));
  const ranks = new Map(
    [...model.inputs, ...model.outputs].map(({ name, shape }) => [name, shape.length]),
  );
  const taken = new Set([
    ...constants.keys(),
    ...model.inputs.map(({ name }) => name),
    ...model.nodes.flatMap(({ outputs }) => outputs),
  ]);
  const value = (near: string): string => {
    for (let count = 0; ; count++) {
      const name = count === 0 ? near : `${near}_${count}`;
      if (taken.has(name)) continue;
      taken.add(name);
      return name;
    }
  };
  return {
    value,
    constant(near, tensor) {
      const name = value(near);
      initializers.push({ name, ...tensor });
      return name;
    },
    constantOf: (name) => constants.get(name),
    rankOf: (name) => ranks.get(name),
  };
}

/** A node without inputs as the tensor that it makes. */
function constantOf(node: DecodedNode): Tensor {
  const name = node.outputs[0] ?? '';
  const value = attributeOf(node, 'value');
  if (typeof value === 'object' && 'data' in value) return { ...value, name };
  const integer = attributeOf(node, 'value_int');
  const integers = typeof integer === 'number' ? [integer] : attributeOf(node, 'value_ints');
  if (Array.isArray(integers)) {
    const shape = integer === undefined ? [integers.length] : [];
    return {
      name,
      type: 'int64',
      shape,
      data: BigInt64Array.from(integers, (item: number) => BigInt(item)),
    };
  }
  const float = attributeOf(node, 'value_float');
  const floats = typeof float === 'number' ? [float] : attributeOf(node, 'value_floats');
  if (Array.isArray(floats)) {
    const shape = float === undefined ? [floats.length] : [];
    return { name, type: 'float32', shape, data: Float32Array.from(floats) };
  }
  throw new GraphError(`Constant at ${node.name}: expected a tensor or numbers in its attribute`, {
    node: node.name,
  });
}
