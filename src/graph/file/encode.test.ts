import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { runGraph } from '../../../test/run-graph.ts';
import { GraphError, LockstepError } from '../../base/errors.ts';
import { GraphBuilder } from '../builder.ts';
import { decodeGraph } from './decode.ts';
import { encodeGraph } from './encode.ts';
import { printGraph } from '../print.ts';
import { ProtoWriter } from './proto-writer.ts';
import type { Graph } from '../types.ts';
import type { ValueInfo } from '../values/types.ts';

const SEED = 2026;
const runs = (numRuns: number) => ({ seed: SEED, numRuns });

/** Graphs of a few operators that touch every kind of attribute and of data. */
const graphs: fc.Arbitrary<Graph> = fc
  .record({
    name: fc.string({ unit: 'grapheme', maxLength: 8 }),
    rows: fc.oneof(fc.integer({ min: 1, max: 5 }), fc.constant('batch')),
    columns: fc.integer({ min: 1, max: 5 }),
    steps: fc.array(fc.integer({ min: 0, max: 8 }), { maxLength: 12 }),
    floats: fc.array(fc.float({ noNaN: true }), { minLength: 5, maxLength: 5 }),
  })
  .map(({ name, rows, columns, steps, floats }) => {
    const g = new GraphBuilder(name);
    let x = g.input('x', 'float32', [rows, columns]);
    const draw: readonly ((v: ValueInfo) => ValueInfo)[] = [
      (v) => g.add(v, g.constant('float32', [columns], floats.slice(0, columns))),
      (v) => g.hardSigmoid(v, 0.25, -0.5),
      (v) => g.logSoftmax(v, -1),
      (v) => g.cast(g.cast(v, 'bool'), 'float32'),
      (v) => g.unsqueeze(g.squeeze(g.unsqueeze(g.reduceMax(v, { axes: [-1] }), [1]), [1]), [1]),
      (v) => g.transpose(g.transpose(v, [1, 0]), [1, 0]),
      (v) => g.where(g.greater(v, g.scalar(0)), v, g.scalar(-0)),
      (v) => g.cast(g.add(g.cast(v, 'int64'), g.constant('int64', [], [-(2 ** 40)])), 'float32'),
      (v) =>
        g.mul(
          v,
          g.apply('ConstantOfShape', [g.ints([1])], {
            value: { name: '', type: 'float32', shape: [1], data: Float32Array.of(2.5) },
          }),
        ),
    ];
    for (const step of steps) x = draw[step]!(x);
    g.output('y', x);
    return g.build();
  });

describe('encodeGraph', () => {
  test('gives bytes from which decodeGraph makes the same graph', () => {
    fc.assert(
      fc.property(graphs, (graph) => {
        assert.deepEqual(decodeGraph(encodeGraph(graph)), graph);
      }),
      runs(200),
    );
  });

  test('gives the same bytes for the same graph, whatever the order of its attributes', () => {
    assert.deepEqual(
      encodeHardSigmoid({ alpha: 1, beta: 2 }),
      encodeHardSigmoid({ beta: 2, alpha: 1 }),
    );
  });
});

describe('decodeGraph', () => {
  test('reads a model that PyTorch exported, with the same results', async () => {
    const file = new URL('../../../test/fixtures/pytorch-mlp.onnx', import.meta.url);
    const fixture = new URL('../../../test/fixtures/pytorch-gradients.json', import.meta.url);
    const { exported } = JSON.parse(readFileSync(fixture, 'utf8')) as {
      exported: { input: number[]; output: number[] };
    };

    const graph = decodeGraph(readFileSync(file));

    assert.deepEqual(graph.inputs, [{ name: 'input', type: 'float32', shape: ['batch', 2, 2] }]);
    assert.deepEqual(
      graph.nodes.map(({ operator }) => operator),
      ['Flatten', 'Gemm', 'Relu', 'Gemm', 'LogSoftmax'],
    );
    const fixed = { ...graph, inputs: [{ ...graph.inputs[0]!, shape: [2, 2, 2] }] };
    const outputs = await runGraph(
      { ...fixed, outputs: [{ ...graph.outputs[0]!, shape: [2, 2] }] },
      { input: exported.input },
    );
    for (const [i, value] of outputs.get('output')!.entries()) {
      assert.ok(Math.abs(value - exported.output[i]!) < 1e-6);
    }
  });

  test('takes Constant nodes and lists of elements as initializers', () => {
    const model = new ProtoWriter();
    model.message(8, (opset) => opset.int(2, 13));
    model.message(7, (graph) => {
      graph.message(1, (constant) => {
        constant.string(2, 'sizes');
        constant.string(4, 'Constant');
        constant.message(5, (attribute) => {
          attribute.string(1, 'value');
          attribute.message(5, (tensor) => {
            tensor.int(1, 2);
            tensor.int(2, 7);
            tensor.int(7, 2);
            tensor.int(7, -1);
          });
          attribute.int(20, 4);
        });
      });
      graph.message(1, (reshape) => {
        reshape.string(1, 'numbers');
        reshape.string(1, 'sizes');
        reshape.string(2, 'y');
        reshape.string(4, 'Reshape');
      });
      graph.message(5, (tensor) => {
        tensor.int(1, 4);
        tensor.int(2, 1);
        tensor.string(8, 'numbers');
        for (const value of [1, 2, 3, 4]) tensor.float(4, value);
      });
    });

    assert.equal(
      printGraph(decodeGraph(model.finish())),
      [
        'graph ()',
        '  numbers: float32 [4] = {1, 2, 3, 4}',
        '  sizes: int64 [2] = {2, -1}',
        '  y: float32 [2, 2] = Reshape.0: Reshape(numbers, sizes)',
        '  return ',
      ].join('\n'),
    );
  });

  test('answers every truncation with an error of ours', () => {
    const bytes = encodeGraph(fc.sample(graphs, { seed: SEED, numRuns: 20 }).at(-1)!);

    for (let length = 0; length < bytes.length; length++) {
      assert.throws(() => decodeGraph(bytes.subarray(0, length)), GraphError, `${length} bytes`);
    }
  });

  test('answers changed bytes with a graph or an error of ours', () => {
    const change = fc.record({ at: fc.nat(), byte: fc.nat(255) });
    fc.assert(
      fc.property(graphs, fc.array(change, { minLength: 1, maxLength: 4 }), (graph, changes) => {
        const bytes = encodeGraph(graph);
        for (const { at, byte } of changes) bytes[at % bytes.length] = byte;
        assertOursOrFine(bytes);
      }),
      runs(1500),
    );
  });

  test('answers noise with an error of ours', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), assertOursOrFine), runs(1000));
  });

  test('refuses a length of many gigabytes before it allocates', () => {
    // Field 7, length 2^63.
    const bytes = Uint8Array.of(0x3a, ...Array<number>(9).fill(0x80), 0x01);

    assert.throws(() => decodeGraph(bytes), GraphError);
  });

  test('accepts the model that the hostile ones below are made from', () => {
    const graph = decodeGraph(hostileModel(({ node }) => node((out) => out.string(4, 'Relu'))));

    assert.equal(graph.nodes[0]!.operator, 'Relu');
  });

  const hostile: Readonly<Record<string, (out: Model) => void>> = {
    'no graph': () => undefined,
    'two graphs': ({ model }) => {
      model.message(7, () => undefined);
      model.message(7, () => undefined);
    },
    'a function': ({ model }) => model.message(25, () => undefined),
    'training information': ({ model }) => model.message(20, () => undefined),
    'a foreign operator': ({ node }) =>
      node((out) => {
        out.string(4, 'Relu');
        out.string(7, 'com.microsoft');
      }),
    'an operator that we do not know': ({ node }) => node((out) => out.string(4, 'Loop')),
    'an attribute called __proto__': ({ node }) =>
      node((out) => {
        out.string(4, 'Relu');
        out.message(5, (attribute) => {
          attribute.string(1, '__proto__');
          attribute.int(20, 2);
        });
      }),
    'a subgraph': ({ node }) =>
      node((out) => {
        out.string(4, 'Relu');
        out.message(5, (attribute) => {
          attribute.string(1, 'body');
          attribute.message(6, () => undefined);
          attribute.int(20, 5);
        });
      }),
    'external data': ({ initializer }) =>
      initializer((out) => out.message(13, (entry) => entry.string(1, 'location'))),
    'a data location': ({ initializer }) => initializer((out) => out.int(14, 1)),
    'a tensor of a terabyte': ({ initializer }) => initializer((out) => out.int(1, 2 ** 40)),
    'a negative size': ({ initializer }) => initializer((out) => out.int(1, -1)),
    'a sparse initializer': ({ model }) =>
      model.message(7, (graph) => graph.message(15, () => undefined)),
  };
  for (const [what, write] of Object.entries(hostile)) {
    test(`refuses ${what}`, () => {
      assert.throws(() => decodeGraph(hostileModel(write)), GraphError);
    });
  }

  test('refuses an opset whose operators mean something else', () => {
    const model = new ProtoWriter();
    model.message(7, () => undefined);
    model.message(8, (opset) => opset.int(2, 22));

    assert.throws(() => decodeGraph(model.finish()), { message: /expected opset 9 to 21, got 22/ });
  });
});

function encodeHardSigmoid(attributes: Readonly<Record<string, number>>): Uint8Array {
  const g = new GraphBuilder('order');
  g.output('y', g.apply('HardSigmoid', [g.input('x', 'float32', [2])], attributes));
  return encodeGraph(g.build());
}

interface Model {
  readonly model: ProtoWriter;
  readonly node: (write: (out: ProtoWriter) => void) => void;
  readonly initializer: (write: (out: ProtoWriter) => void) => void;
}

/**
 * A model that is fine but for what `write` adds: a node of x, an initializer `weights`, or
 * anything at all.
 */
function hostileModel(write: (out: Model) => void): Uint8Array {
  const model = new ProtoWriter();
  model.message(8, (opset) => opset.int(2, 17));
  write({
    model,
    node: (writeNode) =>
      model.message(7, (graph) => {
        graph.message(5, (tensor) => {
          tensor.int(2, 1);
          tensor.float(4, 1);
          tensor.string(8, 'x');
        });
        graph.message(1, (out) => {
          out.string(1, 'x');
          out.string(2, 'y');
          writeNode(out);
        });
      }),
    initializer: (writeTensor) =>
      model.message(7, (graph) =>
        graph.message(5, (tensor) => {
          tensor.string(8, 'weights');
          tensor.int(2, 1);
          writeTensor(tensor);
        }),
      ),
  });
  return model.finish();
}

function assertOursOrFine(bytes: Uint8Array): void {
  try {
    decodeGraph(bytes);
  } catch (error) {
    assert.ok(error instanceof LockstepError, `not an error of ours: ${String(error)}`);
  }
}
