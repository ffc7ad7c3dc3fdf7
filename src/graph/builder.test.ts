import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { GraphError } from '../base/errors.ts';
import { GraphBuilder } from './builder.ts';
import { printGraph } from './print.ts';

function drawLayer(): GraphBuilder {
  const g = new GraphBuilder('layer');
  const x = g.input('x', 'float32', ['batch', 4]);
  const w = g.input('w', 'float32', [3, 4]);
  const h = g.within('first', () => g.relu(g.gemm(x, w, undefined, { transB: true })));
  const sums = g.within('first', () => g.relu(g.reduceSum(h, { axes: [1] })));
  g.output('sums', sums);
  return g;
}

describe('GraphBuilder', () => {
  test('names nodes after scope and operator, and values that become outputs after these', () => {
    const graph = drawLayer().build();

    assert.equal(
      printGraph(graph),
      [
        'graph layer(x: float32 [batch, 4], w: float32 [3, 4])',
        '  constant.0: int64 [1] = {1}',
        '  first/Gemm: float32 [batch, 3] = Gemm(x, w, transB=1)',
        '  first/Relu: float32 [batch, 3] = Relu(first/Gemm)',
        '  first/ReduceSum: float32 [batch] = ReduceSum(first/Relu, constant.0, keepdims=0)',
        '  sums: float32 [batch] = first/Relu_1: Relu(first/ReduceSum)',
        '  return sums',
      ].join('\n'),
    );
  });

  test('gives every output of a node a name, and equal parts to a Split without sizes', () => {
    const g = new GraphBuilder('parts');
    const x = g.input('x', 'float32', ['batch', 6]);
    const [left, right] = g.split(x, [2, 4], 1);
    g.output('left', left!);
    g.output('right', right!);
    const node = {
      name: 'halves',
      inputs: ['x'],
      outputs: ['a', '', 'c'],
      attributes: { axis: 1 },
    };
    const halves = g.append({ operator: 'Split', ...node });
    g.output('c', halves[1]!);

    assert.deepEqual(
      printGraph(g.build()).split('\n').slice(-4),
      [
        '  left: float32 [batch, 2], right: float32 [batch, 4] = Split: Split(x, constant.0, ' +
          'axis=1)',
        '  a: float32 [batch, 2], -, c: float32 [batch, 2] = halves: Split(x, axis=1)',
        '  return left, right, c',
      ].toSpliced(0, 0, '  constant.0: int64 [2] = {2, 4}'),
    );
  });

  test('rounds attributes to the float32 that a file holds', () => {
    const g = new GraphBuilder('attributes');
    g.output('y', g.apply('LeakyRelu', [g.input('x', 'float32', [2])], { alpha: 0.2 }));

    assert.deepEqual(g.build().nodes[0]?.attributes, { alpha: Math.fround(0.2) });
  });

  test('goes on from a graph without changing what is there', () => {
    const graph = drawLayer().build();

    assert.deepEqual(GraphBuilder.from(graph).build(), graph);
  });

  test('copies an output that has a name already', () => {
    const g = new GraphBuilder('copies');
    const x = g.input('x', 'float32', [2]);
    const y = g.neg(x);
    g.output('y', y);
    g.output('again', y);
    g.output('same', x);

    const graph = g.build();

    assert.deepEqual(
      graph.nodes.map(({ operator, inputs, outputs }) => [operator, inputs[0], outputs[0]]),
      [
        ['Neg', 'x', 'y'],
        ['Identity', 'y', 'again'],
        ['Identity', 'x', 'same'],
      ],
    );
  });

  test('shares equal constants and leaves out those that nothing uses', () => {
    const g = new GraphBuilder('constants');
    const x = g.input('x', 'float32', [2]);
    g.scalar(7);
    g.output('y', g.add(g.mul(x, g.scalar(2)), g.mul(x, g.scalar(2))));
    g.output('z', g.add(g.mul(x, g.scalar(0)), g.mul(x, g.scalar(-0))));

    const graph = g.build();

    assert.deepEqual(
      graph.initializers.map(({ data }) => data[0]),
      [2, 0, -0],
    );
  });

  test('throws ShapeError naming the node at the call that does not fit', () => {
    const g = new GraphBuilder('misfit');
    const x = g.input('x', 'float32', [32, 784]);

    assert.throws(() => g.within('layers.3', () => g.gemm(x, x)), {
      name: 'ShapeError',
      message: /^Gemm at layers\.3\/Gemm: .*\[32, 784\], \[32, 784\]/,
    });
  });

  test('refuses names that are taken, data of another length and values of another graph', () => {
    const g = new GraphBuilder('names');
    const x = g.input('x', 'float32', [2]);

    assert.throws(() => g.input('x', 'float32', [2]), GraphError);
    assert.throws(() => g.initializer('w', 'float32', [3], new Float32Array(2)), GraphError);
    assert.throws(() => g.output('x', g.neg(x)), GraphError);
    assert.throws(() => g.neg({ name: 'stranger', type: 'float32', shape: [2] }), GraphError);
    assert.throws(() => g.input('huge', 'float32', [2 ** 30, 2 ** 30]), GraphError);
  });
});
