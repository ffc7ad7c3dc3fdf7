/** What somebody who trains a network from a file should know of its weights. */
import type { GraphFile, GraphNode } from '../../graph/types.ts';
import type { Tensor } from '../../graph/values/types.ts';
import { candidatesOf, hasOnlyNumbers } from './imported-probe.ts';

/** Names that frameworks give to what is trained. */
const TRAINED_NAME = /(?:^|[._])(?:weight|bias|gamma|beta)$/;
/** Operators that join a constant to values element by element, as they do with buffers. */
const ELEMENTWISE: ReadonlySet<string> = new Set(['Add', 'Sub', 'Mul', 'Div', 'Where']);
/** To their results a bias is added. */
const PRODUCTS: ReadonlySet<string> = new Set(['MatMul', 'Gemm', 'Conv', 'ConvTranspose']);
/** So many names fit into a line. */
const SHOWN = 4;

/** Notes on the weights of a network, of which `trained` are the names of those that are trained. */
export function notesOnWeights(file: GraphFile, trained: ReadonlySet<string>): string[] {
  const users = usersOf(file.nodes);
  const weights = file.initializers.filter(({ name }) => trained.has(name));
  const masks = candidatesOf(file).filter((one) => !hasOnlyNumbers(one));
  const products = new Set(
    file.nodes.filter(({ operator }) => PRODUCTS.has(operator)).flatMap(({ outputs }) => outputs),
  );
  const buffers = weights.filter((tensor) => looksLikeBuffer(tensor, users, products));
  const shared = weights.filter(({ name }) => (users.get(name) ?? []).length > 1);
  return [
    ...note(masks, (names) => `${names}: stays as it is, since not all its numbers are finite`),
    ...note(
      buffers,
      (names) =>
        `${names}: trained, though only added or multiplied, as a buffer is; --freeze ` +
        `'${buffers[0]?.name}' keeps it as it is`,
    ),
    ...note(
      shared,
      (names) =>
        `${names}: one weight for several layers. If they should learn apart, export with ` +
        'training=torch.onnx.TrainingMode.TRAINING, which does not merge equal weights',
    ),
  ];
}

function note(tensors: readonly Tensor[], textOf: (names: string) => string): string[] {
  if (tensors.length === 0) return [];
  const names = tensors.slice(0, SHOWN).map(({ name }) => name);
  const more = tensors.length - names.length;
  return [textOf(`${names.join(', ')}${more > 0 ? ` and ${more} more` : ''}`)];
}

/** The nodes that take each value; what only passes it on counts as who takes it from there. */
function usersOf(nodes: readonly GraphNode[]): ReadonlyMap<string, readonly GraphNode[]> {
  const sources = new Map<string, string>();
  const users = new Map<string, GraphNode[]>();
  for (const node of nodes) {
    const [first = '', ...others] = node.inputs.map((name) => sources.get(name) ?? name);
    const [output] = node.outputs;
    if (node.operator === 'Identity' && output !== undefined) sources.set(output, first);
    else
      for (const name of new Set([first, ...others]))
        users.set(name, [...(users.get(name) ?? []), node]);
  }
  return users;
}

function looksLikeBuffer(
  { name, shape }: Tensor,
  users: ReadonlyMap<string, readonly GraphNode[]>,
  products: ReadonlySet<string>,
): boolean {
  const nodes = users.get(name) ?? [];
  const isBiasOf = ({ operator, inputs }: GraphNode): boolean =>
    operator === 'Add' && shape.length === 1 && inputs.some((input) => products.has(input));
  return (
    !TRAINED_NAME.test(name) &&
    nodes.length > 0 &&
    nodes.every((node) => ELEMENTWISE.has(node.operator) && !isBiasOf(node))
  );
}
