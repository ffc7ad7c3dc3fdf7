/**
 * Groups of nodes whose gradient costs less when it is taken at once than node by node.
 *
 * A fusion stands at the last node of its group and sends that node's gradient straight to an
 * earlier value. It covers the ways to the loss that lead through that last node, and only these:
 * whoever else uses a value in between is differentiated as ever.
 */
import type { GraphBuilder } from '../graph/builder.ts';
import { numberAttribute } from '../graph/operators/operator.ts';
import { normalizeAxis } from '../graph/values/shape.ts';
import type { GraphNode } from '../graph/types.ts';
import { dataflowOf, type Dataflow, type Fusion } from './dataflow.ts';
import { findGelus } from './gelu-fusion.ts';

/** All fusions among `nodes`, whose values `g` knows, by their last node. */
export function findFusions(
  g: GraphBuilder,
  nodes: readonly GraphNode[],
): ReadonlyMap<GraphNode, Fusion> {
  const flow = dataflowOf(g, nodes);
  return new Map([...findPickedLogSoftmaxes(g, flow), ...findGelus(flow)]);
}

/**
 * Y = log softmax(X) at one index per row: dX = (the one-hot index - softmax(X)) dY.
 *
 * Two passes over X and a scatter in place, where the two rules by themselves take six passes.
 */
function findPickedLogSoftmaxes(
  g: GraphBuilder,
  { nodes, producer }: Dataflow,
): [GraphNode, Fusion][] {
  return nodes.flatMap((node) => {
    const [data = '', indices = ''] = node.inputs;
    const normalizer = producer.get(data);
    if (node.operator !== 'GatherElements' || normalizer?.operator !== 'LogSoftmax') return [];
    const { shape } = g.value(data);
    const axis = normalizeAxis(numberAttribute(node, 'axis', 0), shape.length);
    const isSameAxis =
      axis === normalizeAxis(numberAttribute(normalizer, 'axis', -1), shape.length);
    if (!isSameAxis || axis === undefined || g.value(indices).shape[axis] !== 1) return [];
    const gradient: Fusion['gradient'] = (b, dy) => {
      const spread = b.mul(b.exp(b.value(data)), b.neg(dy));
      return b.scatterAdd(spread, b.value(indices), dy, axis);
    };
    return [[node, { source: normalizer.inputs[0] ?? '', gradient }]];
  });
}
