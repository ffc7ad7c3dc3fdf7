import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { GraphBuilder } from '../graph/builder.ts';
import type { Graph } from '../graph/types.ts';
import { differentiateGraph } from './differentiate.ts';
import { orderForMemory } from './execution-order.ts';

const LAYERS = 6;

/** Layers of x <- relu(x w) and the gradients of all w, in both orders. */
function makeStep(): { asBuilt: Graph; ordered: Graph } {
  const g = new GraphBuilder('layers');
  let x = g.input('x', 'float32', [8, 8]);
  const weights = Array.from({ length: LAYERS }, (_, i) => g.input(`w${i}`, 'float32', [8, 8]));
  for (const w of weights) x = g.relu(g.matMul(x, w));
  g.output('loss', g.reduceSum(x));
  const forward = g.build();
  const asBuilt = differentiateGraph(forward, 'loss', weights.map(({ name }) => name)); // prettier-ignore
  return { asBuilt, ordered: orderForMemory(asBuilt, forward.nodes.length) };
}

/** The order in which ONNX Runtime computes, as `orderForMemory` describes it. */
function executionOrder({ nodes }: Graph): number[] {
  const read = new Set(nodes.flatMap(({ inputs }) => inputs));
  const maker = new Map(nodes.flatMap(({ outputs }, index) => outputs.map((name) => [name, index] as const)));
  const order: number[] = [];
  const visit = (index: number): void => {
    if (order.includes(index)) return;
    const makers = nodes[index]!.inputs.flatMap((name) => maker.get(name) ?? []);
    for (const input of makers.sort((a, b) => b - a)) visit(input);
    if (!order.includes(index)) order.push(index);
  };
  for (const index of [...nodes.keys()].toReversed())
    if (nodes[index]!.outputs.every((name) => !read.has(name))) visit(index);
  return order;
}

/** The largest number of computed values that are alive at once; outputs of the graph lie elsewhere. */
function peakOf(graph: Graph): number {
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  const computed = new Set(graph.nodes.flatMap((node) => node.outputs));
  const order = executionOrder(graph).map((index) => graph.nodes[index]!);
  const lastUse = new Map(order.flatMap((node, time) => node.inputs.map((name) => [name, time] as const)));
  const alive = new Set<string>();
  let peak = 0;
  for (const [time, node] of order.entries()) {
    for (const name of node.outputs) if (!outputs.has(name)) alive.add(name);
    peak = Math.max(peak, alive.size);
    for (const name of node.inputs) if (computed.has(name) && lastUse.get(name) === time) alive.delete(name);
  }
  return peak;
}

describe('orderForMemory', () => {
  test('keeps the nodes, the outputs, and every node behind its inputs', () => {
    const { asBuilt, ordered } = makeStep();
    const names = (graph: Graph): string[] => graph.nodes.map(({ name }) => name).toSorted();

    assert.deepEqual(names(ordered), names(asBuilt));
    assert.deepEqual(ordered.outputs, asBuilt.outputs);
    const made = new Set(ordered.inputs.map(({ name }) => name));
    for (const { name } of ordered.initializers) made.add(name);
    for (const { name, inputs, outputs } of ordered.nodes) {
      assert.ok(inputs.every((input) => made.has(input)), name); // prettier-ignore
      for (const output of outputs) made.add(output);
    }
  });

  test('keeps no more alive than the activations and what is being computed', () => {
    const { asBuilt, ordered } = makeStep();

    assert.ok(peakOf(ordered) <= LAYERS + 3, `${peakOf(ordered)} values for ${LAYERS} layers`);
    assert.ok(peakOf(asBuilt) >= 2 * LAYERS, `${peakOf(asBuilt)} values in the order of building`);
  });
});
