/** Reverse-mode differentiation, ONNX -> ONNX: gradients are more nodes of the same standard operators. */
import { GraphError, ShapeError } from '../base/errors.ts';
import { GraphBuilder } from '../graph/builder.ts';
import { elementCount, formatShape } from '../graph/shape.ts';
import type { Graph, GraphNode, ValueInfo } from '../graph/types.ts';
import { expandTo, type GradientRule } from './gradient-rule.ts';
import { differentiableOperators, GRADIENT_RULES } from './gradient-rules.ts';

/** The name of the output that holds the gradient with respect to `name`. */
export function gradientName(name: string): string {
  return `gradient.${name}`;
}

/**
 * `graph` with one more output per name in `withRespectTo`, in that order: `gradient.<name>`, the derivative of
 * `loss` by that value, float32 and of its shape.
 *
 * Shapes: loss has one element; all shapes on the way must be known numbers.
 * Throws: GraphError naming the node when the way from a value to the loss passes an operator without a gradient
 *         rule, or when the loss does not depend on a value.
 */
export function differentiateGraph(graph: Graph, loss: string, withRespectTo: readonly string[]): Graph {
  const g = GraphBuilder.from(graph);
  const gradients = new Map([[loss, seedGradient(g, loss)]]);
  const active = valuesThatDependOn(graph, withRespectTo, g);
  for (const node of graph.nodes.toReversed()) {
    const [output] = node.outputs;
    const dy = output === undefined ? undefined : gradients.get(output);
    if (output === undefined || dy === undefined || !active.has(output)) continue;
    g.within(`gradient/${node.name}`, () => {
      passBack(g, node, g.value(output), dy, active, gradients);
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
function valuesThatDependOn(graph: Graph, sources: readonly string[], g: GraphBuilder): Set<string> {
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
  y: ValueInfo,
  dy: ValueInfo,
  active: ReadonlySet<string>,
  gradients: Map<string, ValueInfo>,
): void {
  const rule = ruleOf(node);
  const input = (index: number): ValueInfo => g.value(node.inputs[index] ?? '');
  const fullDy = (): ValueInfo => expandTo(g, dy, y.shape);
  const inputGradients = rule({ g, node, y, dy, input, fullDy });
  for (const [index, name] of node.inputs.entries()) {
    if (!active.has(name)) continue;
    const gradient = inputGradients[index]?.();
    if (gradient === undefined) continue;
    const known = gradients.get(name);
    gradients.set(name, known === undefined ? gradient : g.add(known, gradient));
  }
}

function ruleOf(node: GraphNode): GradientRule {
  const rule = GRADIENT_RULES[node.operator];
  if (typeof rule === 'function') return rule;
  throw new GraphError(
    `differentiating ${node.operator} at ${node.name}: ${rule.reason}. Differentiable: ${differentiableOperators().join(', ')}.`,
    { operator: node.operator, node: node.name },
  );
}
