import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { GraphError, LockstepError } from '../base/errors.ts';
import { GraphBuilder } from './builder.ts';
import { checkGraph } from './check.ts';
import type { Graph, GraphNode } from './types.ts';

function soundGraph(): Graph {
  const g = new GraphBuilder('sound');
  const x = g.input('x', 'float32', [2, 3]);
  g.output('y', g.softmax(g.add(g.exp(x), g.scalar(1))));
  return g.build();
}

function withNode(graph: Graph, index: number, changes: Partial<GraphNode>): Graph {
  return { ...graph, nodes: graph.nodes.with(index, { ...graph.nodes[index]!, ...changes }) };
}

describe('checkGraph', () => {
  const sound = soundGraph();

  test('accepts a sound graph', () => {
    checkGraph(sound);
  });

  const unsound: Readonly<Record<string, Graph>> = {
    'nodes out of order': { ...sound, nodes: sound.nodes.toReversed() },
    'an input that nothing defines': withNode(sound, 0, { inputs: ['nothing'] }),
    'a value that is defined twice': withNode(sound, 0, { outputs: ['x'] }),
    'a node name that is used twice': withNode(sound, 1, { name: sound.nodes[0]!.name }),
    'a node without a name': withNode(sound, 1, { name: '' }),
    'an operator that we do not know': withNode(sound, 0, { operator: 'PyOp' as 'Exp' }),
    'an operator called like a property of objects': withNode(sound, 0, {
      operator: 'constructor' as 'Exp',
    }),
    'an attribute of another operator': withNode(sound, 0, { attributes: { axis: 1 } }),
    'an attribute of another kind': withNode(sound, 2, { attributes: { axis: 'last' } }),
    'too many inputs': withNode(sound, 0, { inputs: ['x', 'x'] }),
    'too many outputs': withNode(sound, 0, { outputs: ['Exp', 'more'] }),
    'an output that nothing defines': {
      ...sound,
      outputs: [{ ...sound.outputs[0]!, name: 'nothing' }],
    },
    'an output of another shape': { ...sound, outputs: [{ ...sound.outputs[0]!, shape: [3, 2] }] },
    'a value of another type': {
      ...sound,
      values: sound.values.with(sound.values.length - 1, { ...sound.values.at(-1)!, type: 'bool' }),
    },
    'a missing value': { ...sound, values: sound.values.slice(1) },
    'data of another length': {
      ...sound,
      initializers: [{ ...sound.initializers[0]!, data: new Float32Array(2) }],
    },
  };
  for (const [what, graph] of Object.entries(unsound)) {
    test(`refuses ${what}`, () => {
      assert.throws(() => checkGraph(graph), LockstepError);
    });
  }

  test('refuses a graph whose values need more memory than allowed', () => {
    const g = new GraphBuilder('large');
    g.output('y', g.neg(g.input('x', 'float32', [1024])));
    const graph = g.build();

    checkGraph(graph, { maxBytes: 8192 });
    assert.throws(() => checkGraph(graph, { maxBytes: 8191 }), GraphError);
  });
});
