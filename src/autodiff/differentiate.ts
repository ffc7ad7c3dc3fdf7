/** Reverse-mode differentiation, ONNX -> ONNX: gradients are more nodes of the same operators. */
import { GraphError, ShapeError } from '../base/errors.ts';
import { GraphBuilder } from '../graph/builder.ts';
import { elementCount, formatShape } from '../graph/values/shape.ts';
import type { Graph, GraphNode } from '../graph/types.ts';
import type { ValueInfo } from '../graph/values/types.ts';
import { appendInForm, type ConvFormChooser } from './conv-forms.ts';
import type { Fusion } from './dataflow.ts';
import { findFusions } from './fusion.ts';
import { expandTo, type GradientRule } from './gradient-rule.ts';
import { GRADIENT_RULES } from './gradient-rules.ts';
import { withStatistics } from './normalization-rules.ts';
import { drawPooling } from './pooling-rules.ts';

/** How gradients are drawn where there is a choice. */
export interface DifferentiateOptions {
  /** The forms of convolutions and of their gradients; the defaults when absent. */
  readonly chooseForm?: ConvFormChooser | undefined;
}

/** The name of the output that holds the gradient with respect to `name`. */
export function gradientName(name: string): string {
  return `gradient.${name}`;
}

/**
 * `graph` with one more output per name in `withRespectTo`, in that order: `gradient.<name>`, the
 * derivative of `loss` by that value, float32 and of its shape.
 *
 * Shapes: loss has one element; all shapes on the way must be known numbers.
 * Throws: GraphError naming the node when the way from a value to the loss passes an operator
 *         without a gradient rule, or when the loss does not depend on a value.
 */
export function differentiateGraph(
  graph: Graph,
  loss: string,
  withRespectTo: readonly string[],
  { chooseForm = () => undefined }: DifferentiateOptions = {},
): Graph {
  const nodes = graph.nodes.map(withStatistics);
  const g = GraphBuilder.from({ ...graph, nodes }, (builder, node) => {
    if (!drawPooling(builder, node)) appendInForm(builder, node, chooseForm);
  });
  const gradients = new Map([[loss, seedGradient(g, loss)]]);
  const active = valuesThatDependOn(graph, withRespectTo, g);
  const fusions = findFusions(g, nodes);
  for (const node of nodes.toReversed()) {
    const dys = node.outputs.map((output) =>
      active.has(output) ? gradients.get(output) : undefined,
    );
    if (dys.every((dy) => dy === undefined)) continue;
    g.within(`gradient/${node.name}`, () => {
      const fusion = fusions.get(node);
      if (fusion === undefined) passBack(g, node, dys, active, gradients, chooseForm);
      else passBackFused(g, node, fusion, gradients);
    });
  }
  for (const name of withRespectTo) {
    const gradient = gradients.get(name);
    if (gradient === undefined) {
      throw new GraphError(`differentiating ${graph.name}: ${loss} does not depend on ${name}`, {
        value: name,
      });
    }
    g.output(gradientName(name), expandTo(g, gradient, g.value(name).shape));
  }
  return g.build();
}

/** d loss / d loss = 1. */
function seedGradient(g: GraphBuilder, loss: string): ValueInfo {
  const { type, shape } = g.value(loss);
  if (type !== 'float32' || elementCount(shape) !== 1) {
    throw new ShapeError(
      `differentiating ${loss}: expected one float32 element, got ${type} ${formatShape(shape)}`,
      { shapes: [shape] },
    );
  }
  return g.scalar(1);
}

/** Names of all float32 values that are computed from the values called `sources`, with these. */
function valuesThatDependOn(
  graph: Graph,
  sources: readonly string[],
  g: GraphBuilder,
): Set<string> {
  const active = new Set(sources);
  for (const node of graph.nodes) {
    if (!node.inputs.some((name) => active.has(name))) continue;
    for (const name of node.outputs) if (g.value(name).type === 'float32') active.add(name);
  }
  return active;
}

/** Emits the gradients of a node's active inputs and adds them to what is known of these. */
function passBack(
  g: GraphBuilder,
  node: GraphNode,
  dys: readonly (ValueInfo | undefined)[],
  active: ReadonlySet<string>,
  gradients: Map<string, ValueInfo>,
  chooseForm: ConvFormChooser,
): void {
  const rule = ruleOf(node);
  const input = (index: number): ValueInfo => g.value(node.inputs[index] ?? '');
  const y = g.value(node.outputs[0] ?? '');
  const dy = dys[0] ?? g.scalar(0);
  const fullDy = (): ValueInfo => expandTo(g, dy, y.shape);
  const inputGradients = rule({ g, node, y, dy, dys, input, fullDy, chooseForm });
  for (const [index, name] of node.inputs.entries()) {
    if (!active.has(name)) continue;
    const gradient = inputGradients[index]?.();
    if (gradient !== undefined) addGradient(g, gradients, name, gradient);
  }
}

/** Emits the gradient of the value that a fusion begins with. */
function passBackFused(
  g: GraphBuilder,
  node: GraphNode,
  { source, gradient }: Fusion,
  gradients: Map<string, ValueInfo>,
): void {
  const y = g.value(node.outputs[0] ?? '');
  const dy = expandTo(g, gradients.get(y.name) ?? g.scalar(0), y.shape);
  addGradient(g, gradients, source, gradient(g, dy));
}

function addGradient(
  g: GraphBuilder,
  gradients: Map<string, ValueInfo>,
  name: string,
  gradient: ValueInfo,
): void {
  const known = gradients.get(name);
  gradients.set(name, known === undefined ? gradient : g.add(known, gradient));
}

function ruleOf(node: GraphNode): GradientRule {
  const rule = GRADIENT_RULES[node.operator];
  if (typeof rule === 'function') return rule;
  throw new GraphError(
    `differentiating ${node.operator} at ${node.name}: ${rule.reason}. Freeze the weights before ` +
      'it, or take it out of the network.',
    { operator: node.operator, node: node.name },
  );
}
