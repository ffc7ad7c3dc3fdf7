import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { runGraph } from '../../test/run-graph.ts';
import { GraphBuilder } from '../graph/builder.ts';
import type { Graph } from '../graph/types.ts';
import { drawBatchStatistics } from './batch-statistics.ts';
import { differentiateGraph } from './differentiate.ts';

/** Statistics, and the gradients of a loss over normalised values that weighs every sample. */
function statisticsGraph(shape: readonly number[]): Graph {
  const [samples = 1, channels = 1] = shape;
  const g = new GraphBuilder('statistics');
  const x = g.input('x', 'float32', shape);
  const scale = g.input('scale', 'float32', [channels]);
  const weight = g.input('weight', 'float32', [samples]);
  const { mean, variance, unbiasedVariance } = drawBatchStatistics(g, x, weight);
  const y = g.batchNormalization(x, scale, scale, mean, variance);
  const perSample = g.reduceSum(g.mul(y, g.mul(y, y)), {
    axes: shape.slice(1).map((_, i) => i + 1),
  });
  g.output('mean', mean);
  g.output('variance', variance);
  g.output('unbiased', unbiasedVariance);
  g.output('loss', g.reduceSum(g.mul(perSample, weight)));
  return differentiateGraph(g.build(), 'loss', ['x', 'scale']);
}

function close(
  actual: readonly number[] | undefined,
  expected: readonly number[],
  tolerance: number,
): void {
  assert.equal(actual?.length, expected.length);
  for (const [i, value] of expected.entries()) {
    assert.ok(
      Math.abs(actual[i]! - value) <= tolerance * Math.abs(value),
      `[${i}]: ${actual[i]}, not ${value}`,
    );
  }
}

describe('drawBatchStatistics', () => {
  test('gives mean, biased and unbiased variance per channel', async () => {
    // Channel 0 holds 1, 2, 3, 6 and channel 1 holds -1, -1, 1, 1.
    const x = [1, 2, -1, -1, 3, 6, 1, 1];

    const outputs = await runGraph(statisticsGraph([2, 2, 2]), {
      x,
      scale: [1, 1],
      weight: [1, 1],
    });

    close(outputs.get('mean'), [3, 0], 1e-6);
    close(outputs.get('variance'), [14 / 4, 1], 1e-6);
    close(outputs.get('unbiased'), [14 / 3, 4 / 3], 1e-6);
  });

  test('keeps its digits when the mean is large', async () => {
    const x = [4096, 4096.5, 4097, 4097.5];

    const outputs = await runGraph(statisticsGraph([2, 1, 2]), { x, scale: [1], weight: [1, 1] });

    close(outputs.get('variance'), [0.3125], 1e-6);
  });

  test('gives the same bits whatever a padding sample holds', async () => {
    const samples = [0.5, -2, 3, 1, 0.25, -1, 2, 0.125];
    const graph = statisticsGraph([3, 2, 2]);
    const feeds = { scale: [1.5, 0.5], weight: [1, 1, 0] };

    const zeros = await runGraph(graph, { ...feeds, x: [...samples, 0, 0, 0, 0] });
    const large = await runGraph(graph, { ...feeds, x: [...samples, 1e9, -7, 1e-9, 4e5] });

    for (const name of ['mean', 'variance', 'unbiased', 'loss', 'gradient.x', 'gradient.scale']) {
      assert.deepEqual(large.get(name), zeros.get(name), name);
    }
    assert.deepEqual(zeros.get('gradient.x')!.slice(8).map(Math.abs), [0, 0, 0, 0]);
  });

  test('gives zeros, not NaN, when all samples are padding', async () => {
    const x = [1, -2, 3, 4, 5, 6, 7, 8];

    const outputs = await runGraph(statisticsGraph([2, 2, 2]), {
      x,
      scale: [1, 2],
      weight: [0, 0],
    });

    for (const [name, values] of outputs) {
      assert.deepEqual(
        values.map(Math.abs),
        values.map(() => 0),
        name,
      );
    }
  });

  test('gives an unbiased variance of 0 for a single value', async () => {
    const outputs = await runGraph(statisticsGraph([1, 1]), { x: [3], scale: [1], weight: [1] });

    assert.deepEqual(outputs.get('unbiased'), [0]);
  });
});
