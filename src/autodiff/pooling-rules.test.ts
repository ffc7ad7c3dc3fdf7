import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { runGraph } from '../../test/run-graph.ts';
import { GraphBuilder, type PoolOptions } from '../graph/builder.ts';
import type { Graph } from '../graph/types.ts';
import { differentiateGraph } from './differentiate.ts';

function maxPoolGraph(shape: readonly number[], options: PoolOptions): Graph {
  const g = new GraphBuilder('pool');
  g.output('loss', g.reduceSum(g.maxPool(g.input('x', 'float32', shape), options)));
  return differentiateGraph(g.build(), 'loss', ['x']);
}

describe('the gradient of MaxPool', () => {
  test('goes to the first of equal elements of a window, as in PyTorch', async () => {
    const graph = maxPoolGraph([1, 1, 2, 4], { kernel: [2, 2], strides: [2, 2] });

    const outputs = await runGraph(graph, { x: [0, 5, 7, 7, 5, 0, 7, 7] });

    assert.deepEqual(outputs.get('gradient.x'), [0, 1, 1, 0, 0, 0, 0, 0]);
  });

  test('adds up where windows overlap', async () => {
    const graph = maxPoolGraph([1, 1, 3, 3], { kernel: [2, 2], strides: [1, 1] });

    const outputs = await runGraph(graph, { x: [1, 2, 3, 4, 9, 5, 6, 7, 8] });

    assert.deepEqual(outputs.get('gradient.x'), [0, 0, 0, 0, 4, 0, 0, 0, 0]);
  });

  test('finds its way through several images and channels', async () => {
    const graph = maxPoolGraph([2, 2, 2], { kernel: [2], strides: [2] });

    const outputs = await runGraph(graph, { x: [1, 2, 4, 3, 5, 6, 8, 7] });

    assert.deepEqual(outputs.get('gradient.x'), [0, 1, 1, 0, 0, 1, 1, 0]);
  });

  test('refuses an average with ceil_mode that counts padding', () => {
    const g = new GraphBuilder('pool');
    const x = g.input('x', 'float32', [1, 1, 5, 5]);
    const attributes = {
      kernel_shape: [2, 2],
      strides: [2, 2],
      ceil_mode: 1,
      count_include_pad: 1,
    };
    g.output('loss', g.reduceSum(g.apply('AveragePool', [x], attributes)));

    assert.throws(() => differentiateGraph(g.build(), 'loss', ['x']), {
      code: 'GRAPH_UNSUPPORTED',
      message: /differentiating AveragePool at AveragePool: ceil_mode with count_include_pad/,
    });
  });
});
