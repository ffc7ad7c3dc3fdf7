/**
 * The nodes with which a trained model's file begins: they bring samples as the files of the data
 * hold them (bytes of pixels, cells of a table) to what the network was trained on.
 */
import { GraphError } from '../base/errors.ts';
import type { Normalisation } from '../data/dataset.ts';
import { fileShapeOf, type SampleForm } from '../data/sample-form.ts';
import { intsAttribute } from '../graph/operators/operator.ts';
import { isStatic, staticElementCount } from '../graph/values/shape.ts';
import type { GraphFile, GraphNode } from '../graph/types.ts';
import type { Dimension, Shape, Tensor, ValueInfo } from '../graph/values/types.ts';

/** Names of its nodes and constants begin so. */
const PREFIX = 'lockstep/preamble/';
/** The entry of the metadata that names the value with which the network itself begins. */
const NETWORK_INPUT = 'networkInput';

/** A network, and what stood before it in its file. */
export interface BareNetwork {
  readonly file: GraphFile;
  /** The input of the file and what its preamble does to each channel; absent if it had none. */
  readonly preamble?: { readonly input: ValueInfo; readonly normalisation: Normalisation };
}

/**
 * The network of a file with one input, float32, behind a preamble: its input takes samples in the
 * shape and type of their files, and keeps its name. Token ids need none.
 *
 * The arithmetic is that of training, bit for bit: x * scale + shift in float32.
 */
export function withPreamble(file: GraphFile, form: SampleForm): GraphFile {
  const [input] = file.inputs;
  if (input === undefined || form.vocabulary !== undefined) return file;
  const { nodes, constants, output } = preambleNodes(input, form, namesOf(file));
  const taken = { name: input.name, type: typeOf(form), shape: inputShape(input, form) };
  if (nodes.length === 0) return file;
  return {
    ...file,
    inputs: [taken],
    initializers: [...constants, ...file.initializers],
    nodes: [...nodes, ...renamed(file.nodes, input.name, output)],
    metadata: new Map([...(file.metadata ?? []), [NETWORK_INPUT, output]]),
  };
}

function typeOf({ storedAs }: SampleForm): 'uint8' | 'float32' {
  return storedAs === 'uint8' ? 'uint8' : 'float32';
}

function inputShape(input: ValueInfo, form: SampleForm): Shape {
  return [input.shape[0] ?? 'batch', ...fileShapeOf(form)];
}

interface Preamble {
  readonly nodes: readonly GraphNode[];
  readonly constants: readonly Tensor[];
  /** The value that goes into the network. */
  readonly output: string;
}

function preambleNodes(
  { name, shape }: ValueInfo,
  form: SampleForm,
  taken: ReadonlySet<string>,
): Preamble {
  const { features, fileForm, normalisation, storedAs } = form;
  const nodes: GraphNode[] = [];
  const constants: Tensor[] = [];
  const unused = (wanted: string): string => {
    for (let count = 0; ; count++) {
      const candidate = PREFIX + wanted + (count === 0 ? '' : `.${count}`);
      if (!taken.has(candidate)) return candidate;
    }
  };
  let value = name;
  const add = (
    operator: GraphNode['operator'],
    attributes: GraphNode['attributes'],
    constant?: Omit<Tensor, 'name'> & { readonly called: string },
  ): void => {
    const inputs = [value];
    if (constant !== undefined) {
      const { called, ...tensor } = constant;
      inputs.push(unused(called));
      constants.push({ name: unused(called), ...tensor });
    }
    value = unused(operator.toLowerCase());
    nodes.push({ operator, name: PREFIX + operator, inputs, outputs: [value], attributes });
  };
  if (storedAs === 'uint8') add('Cast', { to: 'float32' });
  if (fileForm?.layout === 'channels-last') add('Transpose', { perm: [0, 3, 1, 2] });
  if (!isIdentity(normalisation)) {
    // One number for all features, or one per channel, the first axis behind the batch.
    const perChannel = (values: readonly number[]): Pick<Tensor, 'shape' | 'data' | 'type'> => ({
      type: 'float32',
      shape: values.length === 1 ? [] : [values.length, ...features.slice(1).map(() => 1)],
      data: Float32Array.from(values),
    });
    add('Mul', {}, { called: 'scale', ...perChannel(normalisation.scale) });
    add('Add', {}, { called: 'shift', ...perChannel(normalisation.shift) });
  }
  const current = fileForm?.layout === 'channels-last' ? features : fileShapeOf(form);
  const wanted = shape.slice(1);
  if (!isTaken(current, wanted)) {
    // A network that leaves sizes open gets those of the data. 0: the size of the batch, as it is.
    const sizes = isStatic(wanted) ? wanted : features;
    const data = BigInt64Array.from([0, ...sizes], BigInt);
    add('Reshape', {}, { called: 'sizes', type: 'int64', shape: [data.length], data });
  }
  return { nodes, constants, output: value };
}

/** Whether a value of these sizes is one that a network takes, which may leave some open. */
function isTaken(sizes: Shape, wanted: Shape): boolean {
  const fits = (size: Dimension, axis: number): boolean =>
    typeof size === 'string' || size === sizes[axis];
  return sizes.length === wanted.length && wanted.every(fits);
}

function isIdentity({ scale, shift }: Normalisation): boolean {
  return scale.every((value) => value === 1) && shift.every((value) => value === 0);
}

function namesOf({ inputs, initializers, nodes }: GraphFile): ReadonlySet<string> {
  const values = [...inputs, ...initializers].map(({ name }) => name);
  return new Set([...values, ...nodes.flatMap(({ outputs }) => outputs)]);
}

function renamed(nodes: readonly GraphNode[], from: string, to: string): GraphNode[] {
  return nodes.map((node) => ({
    ...node,
    inputs: node.inputs.map((name) => (name === from ? to : name)),
  }));
}

/**
 * The network of a file without the preamble that `withPreamble` put before it, as it was, but that
 * sizes which it had left open are those of the data; and without what the file says of itself.
 *
 * Throws: GraphError when a file says that it has one, and it was changed since: its features would
 *         be scaled twice.
 */
export function withoutPreamble(file: GraphFile): BareNetwork {
  const { metadata, ...bare } = file;
  const isOfPreamble = ({ name }: GraphNode): boolean => name.startsWith(PREFIX);
  const preamble = file.nodes.filter(isOfPreamble);
  const last = preamble.at(-1)?.outputs[0];
  const said = metadata?.get(NETWORK_INPUT);
  const [input] = file.inputs;
  if (last === undefined && said === undefined) return { file: bare };
  if (input === undefined || last === undefined || (said ?? last) !== last)
    throw changed(file.name);
  const constants = new Map(file.initializers.map((tensor) => [tensor.name, tensor]));
  const isOwn = new Set(preamble.flatMap(({ inputs }) => inputs.slice(1)));
  const nodes = file.nodes.filter((node) => !isOfPreamble(node));
  const network: GraphFile = {
    ...bare,
    inputs: [{ ...input, type: 'float32', shape: networkShape(file, input, preamble, constants) }],
    initializers: file.initializers.filter(({ name }) => !isOwn.has(name)),
    nodes: renamed(nodes, last, input.name),
  };
  const numbersOf = (operator: string, absent: number): number[] => {
    const name = preamble.find((node) => node.operator === operator)?.inputs[1] ?? '';
    return Array.from(constants.get(name)?.data ?? [absent], Number);
  };
  const normalisation = { scale: numbersOf('Mul', 1), shift: numbersOf('Add', 0) };
  return { file: network, preamble: { input, normalisation } };
}

/** The shape that comes out of the preamble. Throws GraphError when its nodes are no chain. */
function networkShape(
  { name }: GraphFile,
  input: ValueInfo,
  preamble: readonly GraphNode[],
  constants: ReadonlyMap<string, Tensor>,
): Shape {
  let [value, shape]: [string, Shape] = [input.name, input.shape];
  for (const node of preamble) {
    if (node.inputs[0] !== value || node.outputs.length !== 1) throw changed(name);
    value = node.outputs[0] ?? '';
    if (node.operator === 'Transpose') {
      const from = shape;
      shape = (intsAttribute(node, 'perm') ?? []).map((axis) => from[axis] ?? 0);
    } else if (node.operator === 'Reshape') {
      const sizes = Array.from(constants.get(node.inputs[1] ?? '')?.data ?? [], Number);
      if (sizes.length === 0 || staticElementCount(sizes.slice(1)) === 0) throw changed(name);
      shape = [shape[0] ?? 'batch', ...sizes.slice(1)];
    }
  }
  return shape;
}

function changed(name: string): GraphError {
  return new GraphError(
    `model ${name}: its metadata or names say that nodes at its beginning scale the features, ` +
      'and they are not as Lockstep wrote them. Take the model.onnx of the run as it is.',
    { file: name },
  );
}
