/** Networks that were exported for one batch size, made to take any. */
import type { GraphFile, GraphNode } from '../../graph/types.ts';
import type { Tensor, ValueInfo } from '../../graph/values/types.ts';
import { type ImportedNetwork, probeNetwork } from './imported-probe.ts';

/** The name of the batch axis in files that we write. */
const BATCH = 'batch';

/**
 * Gives input and output a batch axis of any size; `sample` is the shape of one sample.
 *
 * An exporter without dynamic axes writes its batch size into the targets of Reshape. Where a
 * Reshape keeps the batch axis in front, apart from what is behind it, the size is not needed;
 * elsewhere it is left, and will not fit.
 */
export function withAnyBatch(network: ImportedNetwork, sample: readonly number[]): ImportedNetwork {
  const { file, input, output } = network;
  const [batch] = input.shape;
  if (typeof batch !== 'number') return network;
  const targets = freedTargets(network, sample, batch);
  const free = (value: ValueInfo): ValueInfo =>
    value.shape[0] === batch ? { ...value, shape: [BATCH, ...value.shape.slice(1)] } : value;
  const freed: GraphFile = {
    ...file,
    inputs: file.inputs.map(free),
    outputs: file.outputs.map(free),
    initializers: [...file.initializers, ...targets.values()],
    nodes: file.nodes.map((node) => {
      const target = targets.get(node);
      return target === undefined
        ? node
        : { ...node, inputs: node.inputs.with(1, target.name), attributes: {} };
    }),
  };
  return { file: freed, input: free(input), output: free(output) };
}

/** New targets for Reshape nodes, with a 0 in front: that size stays as it is. */
function freedTargets(
  network: ImportedNetwork,
  sample: readonly number[],
  batch: number,
): ReadonlyMap<GraphNode, Tensor> {
  const targets = new Map<GraphNode, Tensor>();
  const names = new Set([
    ...network.file.initializers.map(({ name }) => name),
    ...network.file.nodes.flatMap(({ outputs }) => outputs),
  ]);
  probeNetwork(network, [batch, ...sample], (node, inputs) => {
    const target = inputs.constant(1);
    if (node.operator !== 'Reshape' || target === undefined || inputs.constant(0) !== undefined)
      return undefined;
    const shape = inputs.value(0)?.shape.map(Number) ?? [];
    const sizes = Array.from(target.data as ArrayLike<bigint>, Number);
    if (shape[0] !== batch || sizes[0] !== batch || !isSameCount(shape.slice(1), sizes.slice(1)))
      return undefined;
    const name = unused(`${node.outputs[0] ?? ''}.sizes`, names);
    const data = BigInt64Array.from([0, ...sizes.slice(1)], BigInt);
    targets.set(node, { name, type: 'int64', shape: [sizes.length], data });
    return undefined;
  });
  return targets;
}

/**
 * Whether sizes, of which one may be left open (-1) or kept (0), hold as many elements as `shape`.
 */
function isSameCount(shape: readonly number[], sizes: readonly number[]): boolean {
  if (sizes.includes(-1)) return true;
  const count = (list: readonly number[]): number => list.reduce((a, b) => a * b, 1);
  return (
    count(shape) === count(sizes.map((size, axis) => (size === 0 ? (shape[axis] ?? 0) : size)))
  );
}

function unused(name: string, taken: Set<string>): string {
  let candidate = name;
  for (let count = 1; taken.has(candidate); count++) candidate = `${name}_${count}`;
  taken.add(candidate);
  return candidate;
}
