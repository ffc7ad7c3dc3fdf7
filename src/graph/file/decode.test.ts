import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { GraphError, LockstepError } from '../../base/errors.ts';
import { decodeGraphFile } from './decode.ts';
import { ProtoWriter } from './proto-writer.ts';

type WriteGraph = (graph: ProtoWriter) => void;

/** A model of opset 17 whose graph is what `write` puts into it. */
function modelOf(write: WriteGraph): Uint8Array {
  const model = new ProtoWriter();
  model.message(8, (opset) => opset.int(2, 17));
  model.message(7, write);
  return model.finish();
}

function node(
  graph: ProtoWriter,
  operator: string,
  inputs: string[],
  outputs: string[],
  name = operator,
): void {
  graph.message(1, (out) => {
    for (const input of inputs) out.string(1, input);
    for (const output of outputs) out.string(2, output);
    out.string(3, name);
    out.string(4, operator);
  });
}

function value(graph: ProtoWriter, field: number, name: string, type = 1): void {
  graph.message(field, (out) => {
    out.string(1, name);
    out.message(2, (outer) => outer.message(1, (tensor) => tensor.int(1, type)));
  });
}

function scalar(graph: ProtoWriter, name: string, type = 1): void {
  graph.message(5, (tensor) => {
    tensor.int(2, type);
    tensor.string(8, name);
    tensor.bytes(9, new Uint8Array(type === 11 ? [0, 0, 0, 0, 0, 0, 240, 63] : [0, 0, 128, 63]));
  });
}

const fixture = (name: string): Uint8Array =>
  readFileSync(new URL(`../../../test/fixtures/onnx/${name}.onnx`, import.meta.url));

describe('decodeGraphFile', () => {
  test('reads a file whose shapes depend on a batch size that it does not say', () => {
    const { inputs, outputs, nodes, initializers } = decodeGraphFile(fixture('attention-11'));

    assert.deepEqual(inputs, [{ name: 'image', type: 'float32', shape: ['batch', 5, 8] }]);
    assert.deepEqual(outputs, [{ name: 'scores', type: 'float32', shape: ['batch', 3] }]);
    assert.ok(nodes.some(({ operator }) => operator === 'Shape'));
    assert.ok(nodes.every(({ operator }) => (operator as string) !== 'Constant'));
    assert.deepEqual(initializers.find(({ name }) => name === 'head.bias')?.shape, [3]);
  });

  test('writes Dropout and BatchNormalization as inference has them', () => {
    const { nodes } = decodeGraphFile(fixture('cnn-13'));

    const special = nodes.filter(
      ({ operator }) => operator === 'Dropout' || operator === 'BatchNormalization',
    );
    assert.deepEqual(
      special.map(({ operator, inputs, outputs }) => [operator, inputs.length, outputs.length]),
      [
        ['BatchNormalization', 5, 1],
        ['BatchNormalization', 5, 1],
        ['Dropout', 2, 1],
      ],
    );
  });

  test('takes float64 constants as float32, and a domain that no node uses', () => {
    const model = new ProtoWriter();
    model.message(8, (opset) => opset.int(2, 17));
    model.message(8, (opset) => {
      opset.string(1, 'com.example');
      opset.int(2, 1);
    });
    model.message(7, (graph) => scalar(graph, 'one', 11));

    const [one] = decodeGraphFile(model.finish()).initializers;

    assert.deepEqual([one!.type, one!.data], ['float32', Float32Array.of(1)]);
  });

  test('names a node whose operator we do not have', () => {
    assert.throws(() => decodeGraphFile(fixture('lstm-17')), {
      code: 'GRAPH_UNSUPPORTED',
      message:
        /^LSTM at \/lstm\/LSTM: not an operator that is read\. Recurrent layers .*\(nn\.Conv1d\)\.$/,
    });
  });

  test('says what to use instead of an operator that we do not have, or which one is near', () => {
    const said = (operator: string): string => {
      try {
        decodeGraphFile(modelOf((graph) => node(graph, operator, [], ['y'])));
      } catch (error) {
        return (error as Error).message;
      }
      return '';
    };

    assert.match(said('TopK'), /^TopK at TopK: not an operator that is read\. Leave the choice /);
    assert.match(said('QLinearConv'), /before it is quantized\.$/);
    assert.match(
      said('GemmX'),
      /\. The nearest is Gemm; docs\/your-network\.md lists all that are\.$/,
    );
    assert.match(said('Zzz'), /read\. docs\/your-network\.md lists all that are\.$/);
  });

  const refused: Readonly<Record<string, readonly [RegExp, WriteGraph]>> = {
    'nodes that feed each other': [
      /A: nothing before it makes b\. The nodes are circular/,
      (graph) => {
        node(graph, 'Relu', ['b'], ['a'], 'A');
        node(graph, 'Relu', ['a'], ['b'], 'B');
      },
    ],
    'nodes out of order': [
      /second: nothing before it makes a/,
      (graph) => {
        value(graph, 11, 'x');
        node(graph, 'Relu', ['a'], ['b'], 'second');
        node(graph, 'Relu', ['x'], ['a'], 'first');
      },
    ],
    'two values of one name': [
      /Relu at again: the name a is taken already/,
      (graph) => {
        value(graph, 11, 'x');
        node(graph, 'Relu', ['x'], ['a'], 'once');
        node(graph, 'Relu', ['x'], ['a'], 'again');
      },
    ],
    'two initializers of one name': [
      /the name w is taken already/,
      (graph) => {
        scalar(graph, 'w');
        scalar(graph, 'w');
      },
    ],
    'an output that nothing makes': [
      /output of : nothing before it makes y/,
      (graph) => value(graph, 12, 'y'),
    ],
    'a foreign domain': [
      /Gelu at theirs: expected an operator of the standard domain, got com\.microsoft/,
      (graph) =>
        graph.message(1, (out) => {
          out.string(3, 'theirs');
          out.string(4, 'Gelu');
          out.string(7, 'com.microsoft');
        }),
    ],
    'a branch with graphs inside': [
      /^If at node 0: attribute then_branch: .* got a subgraph \(If, Loop, Scan\)/,
      (graph) =>
        graph.message(1, (out) => {
          out.string(4, 'If');
          out.message(5, (attribute) => {
            attribute.string(1, 'then_branch');
            attribute.message(6, () => undefined);
            attribute.int(20, 5);
          });
        }),
    ],
    'data in another file': [
      /tensor w: its elements lie in another file.*Save the model as one file/,
      (graph) =>
        graph.message(5, (tensor) => {
          tensor.string(8, 'w');
          tensor.message(13, (entry) => {
            entry.string(1, 'location');
            entry.string(2, '../../secrets');
          });
        }),
    ],
    'a sparse initializer': [
      /sparse initializers are not supported/,
      (graph) => graph.message(15, () => undefined),
    ],
    'a tensor of a terabyte': [
      /tensor : .*more than 2\^36 elements/,
      (graph) =>
        graph.message(5, (tensor) => {
          tensor.int(1, 2 ** 20);
          tensor.int(1, 2 ** 20);
          tensor.int(2, 1);
        }),
    ],
    'a tensor with thousands of axes': [
      /shapes of more than 32 sizes/,
      (graph) => graph.message(5, (tensor) => tensor.bytes(1, new Uint8Array(5000).fill(1))),
    ],
    'float16 weights': [
      /got float16\. Export the model in float32/,
      (graph) =>
        graph.message(5, (tensor) => {
          tensor.int(2, 10);
          tensor.bytes(9, new Uint8Array(2));
        }),
    ],
    'quantised weights': [
      /got int8\.$/,
      (graph) =>
        graph.message(5, (tensor) => {
          tensor.int(2, 3);
          tensor.bytes(9, new Uint8Array(1));
        }),
    ],
    'more nodes than any network has': [
      /at most 100000 nodes/,
      (graph) => {
        for (let i = 0; i <= 100_000; i++) graph.bytes(1, new Uint8Array(0));
      },
    ],
    'more attributes than any operator has': [
      /at most 64 attributes/,
      (graph) =>
        graph.message(1, (out) => {
          for (let i = 0; i <= 64; i++) out.message(5, (attribute) => attribute.int(20, 2));
        }),
    ],
    'an attribute of a million numbers': [
      /list of at most 65536 numbers/,
      (graph) =>
        graph.message(1, (out) =>
          out.message(5, (attribute) => attribute.bytes(8, new Uint8Array(2 ** 20))),
        ),
    ],
    'a list in a hundred thousand parts': [
      /lists of more than 65536 parts/,
      (graph) =>
        graph.message(5, (tensor) => {
          for (let i = 0; i <= 65_536; i++) tensor.float(4, 1);
        }),
    ],
    'a sequence as input': [
      /sequence values are not supported/,
      (graph) =>
        graph.message(11, (out) => out.message(2, (type) => type.message(4, () => undefined))),
    ],
  };
  for (const [what, [message, write]] of Object.entries(refused)) {
    test(`refuses ${what}`, () => {
      assert.throws(
        () => decodeGraphFile(modelOf(write)),
        (error: unknown) => {
          assert.ok(error instanceof GraphError, String(error));
          assert.match(error.message, message);
          return true;
        },
      );
    });
  }

  test('answers every truncation of an exported file with an error of ours', () => {
    const bytes = fixture('probabilities-9');

    for (let length = 0; length < bytes.length; length++) {
      assert.throws(
        () => decodeGraphFile(bytes.subarray(0, length)),
        LockstepError,
        `${length} bytes`,
      );
    }
  });

  test('answers an exported file with one byte changed with a network or an error of ours', () => {
    const bytes = Uint8Array.from(fixture('causal-text-17'));

    for (let at = 0; at < bytes.length; at += 7) {
      const changed = bytes.slice();
      changed[at] = (changed[at]! + 1 + (at % 255)) % 256;
      try {
        decodeGraphFile(changed);
      } catch (error) {
        assert.ok(error instanceof LockstepError, `byte ${at}: ${String(error)}`);
      }
    }
  });
});
