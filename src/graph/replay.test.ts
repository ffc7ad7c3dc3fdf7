import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { GraphBuilder } from './builder.ts';
import { printGraph } from './print.ts';
import { replayGraph } from './replay.ts';
import type { GraphFile } from './types.ts';

/**
 * x [batch, 2, 3] is flattened by a shape that nodes compute, dropped from, and multiplied by w.
 */
const FILE: GraphFile = {
  name: 'file',
  inputs: [{ name: 'x', type: 'float32', shape: ['batch', 2, 3] }],
  outputs: [{ name: 'y', type: 'float32', shape: ['batch', 6] }],
  initializers: [
    { name: 'first', type: 'int64', shape: [1], data: BigInt64Array.of(0n) },
    { name: 'rest', type: 'int64', shape: [1], data: BigInt64Array.of(-1n) },
    { name: 'half', type: 'float32', shape: [], data: Float32Array.of(0.5) },
    { name: 'w', type: 'float32', shape: [6], data: new Float32Array(6) },
  ],
  nodes: [
    { operator: 'Shape', name: 'Shape', inputs: ['x'], outputs: ['shape'], attributes: {} },
    {
      operator: 'Gather',
      name: 'Gather',
      inputs: ['shape', 'first'],
      outputs: ['size'],
      attributes: {},
    },
    {
      operator: 'Concat',
      name: 'Concat',
      inputs: ['size', 'rest'],
      outputs: ['to'],
      attributes: { axis: 0 },
    },
    {
      operator: 'Reshape',
      name: 'Reshape',
      inputs: ['x', 'to'],
      outputs: ['flat'],
      attributes: {},
    },
    {
      operator: 'Dropout',
      name: 'Dropout',
      inputs: ['flat', 'half'],
      outputs: ['kept'],
      attributes: {},
    },
    { operator: 'Mul', name: 'Mul', inputs: ['kept', 'w'], outputs: ['y'], attributes: {} },
  ],
};

describe('replayGraph', () => {
  test('draws what depends on the input, with constants where the file computes sizes', () => {
    const g = new GraphBuilder('step');
    const x = g.input('x', 'float32', [5, 2, 3]);
    const w = g.input('w', 'float32', [6]);

    const [y] = replayGraph(g, FILE, {
      prefix: 'net/',
      values: new Map([
        ['x', x],
        ['w', w],
      ]),
    });
    g.output('y', y!);

    assert.equal(
      printGraph(g.build()),
      [
        'graph step(x: float32 [5, 2, 3], w: float32 [6])',
        '  net/to: int64 [2] = {5, -1}',
        '  net/flat: float32 [5, 6] = net/Reshape: Reshape(x, net/to)',
        '  y: float32 [5, 6] = net/Mul: Mul(net/flat, w)',
        '  return y',
      ].join('\n'),
    );
  });

  test('draws a node the way it is told to', () => {
    const g = new GraphBuilder('step');
    const x = g.input('x', 'float32', [5, 2, 3]);
    const seen: unknown[] = [];

    const [y] = replayGraph(g, FILE, {
      prefix: 'net/',
      values: new Map([['x', x]]),
      draw(node, inputs) {
        if (node.operator !== 'Dropout') return undefined;
        seen.push(
          inputs.value(0)?.shape,
          inputs.constant(1)?.data,
          inputs.value(2),
          inputs.constant(0),
        );
        return g.neg(inputs.value(0)!);
      },
    });
    g.output('y', y!);

    assert.deepEqual(seen, [[5, 6], Float32Array.of(0.5), undefined, undefined]);
    assert.deepEqual(
      g.build().nodes.map(({ operator }) => operator),
      ['Reshape', 'Neg', 'Mul'],
    );
    assert.ok(g.build().initializers.every(({ name }) => name !== 'net/half'));
  });
});
