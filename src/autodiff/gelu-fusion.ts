/**
 * The Gaussian error linear unit, in whatever nodes it was drawn: y = x (1 + f) / 2, with
 *   f = erf(x / sqrt 2) or, in its approximation,
 *   f = tanh(sqrt(2 / pi) (x + 0.044715 x^3)).
 *
 * Exporters draw it in several ways. So a group of nodes is recognised by what it computes: it is
 * tried on a few numbers, with a stand-in for f.
 */
import type { GraphBuilder } from '../graph/builder.ts';
import type { GraphNode } from '../graph/types.ts';
import type { ValueInfo } from '../graph/values/types.ts';
import type { Dataflow, Fusion } from './dataflow.ts';

const CUBIC = 0.044715;
const TANH_SCALE = Math.sqrt(2 / Math.PI);

/** What f is applied to, as a function of x. */
const INNER = {
  Erf: (x: number) => x / Math.SQRT2,
  Tanh: (x: number) => TANH_SCALE * (x + CUBIC * x ** 3),
} as const;
type Kind = keyof typeof INNER;

/** Stands in for f: any function will do that tells numbers apart. */
const standIn = (x: number): number => Math.sin(x) + x / 7;

const PROBES = [-2.3, -0.9, 0.4, 1.1, 2.7];
/** Constants are float32, so results agree to about 1e-7. */
const TOLERANCE = 1e-5;
/** Most nodes between x and f, and between f and y, of any form that is known. */
const MAX_STEPS = 6;

/** A fusion at each node that puts out the Gelu of an earlier value. */
export function findGelus(flow: Dataflow): [GraphNode, Fusion][] {
  return flow.nodes.flatMap((node) => {
    if (node.operator !== 'Erf' && node.operator !== 'Tanh') return [];
    const kind = node.operator;
    const [f = ''] = node.outputs;
    for (const source of valuesBefore(flow, node)) {
      if (!agrees(flow, node.inputs[0] ?? '', source, INNER[kind])) continue;
      const gelu = (x: number): number => (x * (1 + standIn(INNER[kind](x)))) / 2;
      const last = nodesAfter(flow, node).find(({ outputs }) =>
        agrees(flow, outputs[0] ?? '', source, gelu),
      );
      if (last === undefined) continue;
      return [
        [
          last,
          { source, gradient: (g, dy) => GRADIENTS[kind](g, g.value(source), g.value(f), dy) },
        ],
      ];
    }
    return [];
  });
}

/** Values from which the input of `node` comes by few steps, nearest first. */
function valuesBefore({ producer }: Dataflow, node: GraphNode): Set<string> {
  const found = new Set(node.inputs);
  let frontier = node.inputs;
  for (let step = 0; step < MAX_STEPS && frontier.length > 0; step++) {
    frontier = frontier
      .flatMap((name) => producer.get(name)?.inputs ?? [])
      .filter((name) => !found.has(name));
    for (const name of frontier) found.add(name);
  }
  found.delete('');
  return found;
}

/** The nodes one after the other that use what `node` puts out, as long as each has one user. */
function nodesAfter({ consumers }: Dataflow, node: GraphNode): GraphNode[] {
  const chain: GraphNode[] = [];
  let current = node;
  while (chain.length < MAX_STEPS) {
    const [user, ...others] = consumers.get(current.outputs[0] ?? '') ?? [];
    if (user === undefined || others.length > 0) break;
    chain.push(user);
    current = user;
  }
  return chain;
}

function agrees(
  flow: Dataflow,
  value: string,
  source: string,
  wanted: (x: number) => number,
): boolean {
  return PROBES.every(
    (x) => Math.abs(evaluate(flow, value, source, x, 2 * MAX_STEPS) - wanted(x)) < TOLERANCE,
  );
}

const ARITHMETIC: Readonly<Record<string, (a: number, b: number) => number>> = {
  Add: (a, b) => a + b,
  Sub: (a, b) => a - b,
  Mul: (a, b) => a * b,
  Div: (a, b) => a / b,
  Pow: (a, b) => a ** b,
  Erf: standIn,
  Tanh: standIn,
};

/** What `value` is where `source` is x; NaN when it depends on anything else. */
function evaluate(flow: Dataflow, value: string, source: string, x: number, depth: number): number {
  if (value === source) return x;
  const constant = flow.scalar(value);
  if (constant !== undefined) return constant;
  const node = flow.producer.get(value);
  const compute = ARITHMETIC[node?.operator ?? ''];
  if (node === undefined || compute === undefined || depth === 0) return Number.NaN;
  const [a = Number.NaN, b = Number.NaN] = node.inputs.map((name) =>
    evaluate(flow, name, source, x, depth - 1),
  );
  return compute(a, b);
}

/**
 * dX = dY * slope, from X and f:
 *   erf:  slope = (1 + f) / 2 + t e^(-t^2) / sqrt pi, with t = X / sqrt 2
 *   tanh: slope = p + X (p - p^2) 2 (k + 3 k 0.044715 X^2),
 *         with p = (1 + f) / 2 and k = sqrt(2 / pi)
 * HardSigmoid makes (1 + f) / 2 in one pass.
 */
const GRADIENTS: Readonly<
  Record<Kind, (g: GraphBuilder, x: ValueInfo, f: ValueInfo, dy: ValueInfo) => ValueInfo>
> = {
  Erf(g, x, f, dy) {
    const t = g.mul(x, g.scalar(Math.SQRT1_2));
    // e^(-t^2) / sqrt pi
    const bell = g.exp(g.sub(g.scalar(Math.log(1 / Math.sqrt(Math.PI))), g.mul(t, t)));
    return g.mul(dy, g.add(g.hardSigmoid(f, 0.5, 0.5), g.mul(t, bell)));
  },
  Tanh(g, x, f, dy) {
    const p = g.hardSigmoid(f, 0.5, 0.5);
    const quadratic = g.mul(g.mul(x, x), g.scalar(6 * CUBIC * TANH_SCALE));
    const inner = g.mul(x, g.add(quadratic, g.scalar(2 * TANH_SCALE)));
    return g.mul(dy, g.add(p, g.mul(inner, g.sub(p, g.mul(p, p)))));
  },
};
