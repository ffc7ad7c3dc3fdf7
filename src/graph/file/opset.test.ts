import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { GraphError } from '../../base/errors.ts';
import { decodeGraphFile } from './decode.ts';
import { encodeGraph } from './encode.ts';
import { ProtoWriter } from './proto-writer.ts';

/** Integers, a float, or a string, as an exporter writes them. */
type Written = readonly number[] | number | { readonly float: number } | string;

interface WrittenNode {
  readonly operator: string;
  readonly inputs?: readonly string[];
  readonly outputs?: readonly string[];
  readonly attributes?: Readonly<Record<string, Written>>;
}

interface WrittenFile {
  readonly opset: number;
  readonly nodes: readonly WrittenNode[];
  /** Constants of int64 (lists) or float32 (`{ float }`, without axes, or `{ floats }`). */
  readonly constants?: Readonly<
    Record<
      string,
      readonly number[] | { readonly float: number } | { readonly floats: readonly number[] }
    >
  >;
  /** ONNX type of the output; float32 when absent. */
  readonly outputType?: number;
}

const X_SHAPE = [2, 3, 4];
const X = Float32Array.from({ length: 24 }, (_, i) => Math.sin(3 * i));

/** A file as another opset has it: x [2, 3, 4] -> y. */
function fileOf({ opset, nodes, constants = {}, outputType = 1 }: WrittenFile): Uint8Array {
  const model = new ProtoWriter();
  model.int(1, 8);
  model.message(8, (out) => out.int(2, opset));
  model.message(7, (graph) => {
    graph.string(2, 'written');
    for (const node of nodes) graph.message(1, (out) => writeNode(out, node));
    for (const [name, value] of Object.entries(constants)) {
      graph.message(5, (tensor) => {
        tensor.string(8, name);
        if ('float' in value) {
          tensor.int(2, 1);
          tensor.float(4, value.float);
        } else if ('floats' in value) {
          tensor.int(1, value.floats.length);
          tensor.int(2, 1);
          for (const item of value.floats) tensor.float(4, item);
        } else {
          tensor.int(1, value.length);
          tensor.int(2, 7);
          for (const item of value) tensor.int(7, item);
        }
      });
    }
    graph.message(11, (out) => writeValue(out, 'x', 1, X_SHAPE));
    graph.message(12, (out) => writeValue(out, 'y', outputType));
  });
  return model.finish();
}

function writeNode(
  out: ProtoWriter,
  { operator, inputs = ['x'], outputs = ['y'], attributes = {} }: WrittenNode,
): void {
  for (const input of inputs) out.string(1, input);
  for (const output of outputs) out.string(2, output);
  out.string(3, `the ${operator}`);
  out.string(4, operator);
  for (const [name, value] of Object.entries(attributes)) {
    out.message(5, (attribute) => {
      attribute.string(1, name);
      if (typeof value === 'number') attribute.int(3, value);
      else if (typeof value === 'string') attribute.string(4, value);
      else if ('float' in value) attribute.float(2, value.float);
      else for (const item of value) attribute.int(8, item);
      attribute.int(
        20,
        typeof value === 'number' ? 2 : typeof value === 'string' ? 3 : 'float' in value ? 1 : 7,
      );
    });
  }
}

function writeValue(out: ProtoWriter, name: string, type: number, shape?: readonly number[]): void {
  out.string(1, name);
  out.message(2, (outer) =>
    outer.message(1, (tensor) => {
      tensor.int(1, type);
      if (shape === undefined) return;
      tensor.message(2, (sizes) => {
        for (const size of shape) sizes.message(1, (inner) => inner.int(1, size));
      });
    }),
  );
}

async function run(bytes: Uint8Array): Promise<{ dims: readonly number[]; data: number[] }> {
  const session = await InferenceSession.create(bytes, { logSeverityLevel: 3 });
  const { y } = await session.run({ x: new Tensor('float32', X, X_SHAPE) });
  return { dims: y!.dims, data: Array.from(y!.data as Iterable<number>, Number) };
}

const CASES: Readonly<Record<string, WrittenFile>> = {
  'Unsqueeze with an attribute': {
    opset: 11,
    nodes: [{ operator: 'Unsqueeze', attributes: { axes: [0, 4] } }],
  },
  'Squeeze with an attribute': {
    opset: 11,
    nodes: [
      { operator: 'Unsqueeze', outputs: ['wide'], attributes: { axes: [1] } },
      { operator: 'Squeeze', inputs: ['wide'], attributes: { axes: [1] } },
    ],
  },
  'ReduceSum with an attribute': {
    opset: 11,
    nodes: [{ operator: 'ReduceSum', attributes: { axes: [1], keepdims: 0 } }],
  },
  'Split with an attribute': {
    opset: 11,
    nodes: [{ operator: 'Split', outputs: ['y', 'rest'], attributes: { axis: 2, split: [1, 3] } }],
  },
  'Softmax over everything from axis 1 on': {
    opset: 11,
    nodes: [{ operator: 'Softmax', attributes: { axis: 1 } }],
  },
  'Softmax without an axis': { opset: 9, nodes: [{ operator: 'Softmax' }] },
  'LogSoftmax over the last axis': {
    opset: 11,
    nodes: [{ operator: 'LogSoftmax', attributes: { axis: 2 } }],
  },
  'LogSoftmax over axis -1': {
    opset: 11,
    nodes: [{ operator: 'LogSoftmax', attributes: { axis: -1 } }],
  },
  'Slice with attributes': {
    opset: 9,
    nodes: [{ operator: 'Slice', attributes: { starts: [1, 0], ends: [3, -1], axes: [1, 2] } }],
  },
  'Clip with attributes': {
    opset: 9,
    nodes: [{ operator: 'Clip', attributes: { min: { float: -0.5 }, max: { float: 0.25 } } }],
  },
  'Clip with one attribute': {
    opset: 9,
    nodes: [{ operator: 'Clip', attributes: { max: { float: 0.25 } } }],
  },
  'Pad with attributes': {
    opset: 9,
    nodes: [
      {
        operator: 'Pad',
        attributes: { pads: [0, 0, 1, 0, 0, 2], value: { float: 7 }, mode: 'constant' },
      },
    ],
  },
  'Dropout with an attribute': {
    opset: 11,
    nodes: [{ operator: 'Dropout', outputs: ['y', 'mask'], attributes: { ratio: { float: 0.5 } } }],
  },
  'ReduceMean with an input': {
    opset: 18,
    constants: { axes: [-1] },
    nodes: [{ operator: 'ReduceMean', inputs: ['x', 'axes'], attributes: { keepdims: 1 } }],
  },
  'ReduceMax over everything': {
    opset: 20,
    nodes: [{ operator: 'ReduceMax', attributes: { keepdims: 0 } }],
  },
  'ReduceMean that keeps everything': {
    opset: 18,
    nodes: [{ operator: 'ReduceMean', attributes: { noop_with_empty_axes: 1 } }],
  },
  'Split into a number of parts': {
    opset: 18,
    nodes: [{ operator: 'Split', outputs: ['y', 'rest'], attributes: { axis: 2, num_outputs: 2 } }],
  },
  'Pad with four inputs, the last absent': {
    opset: 18,
    constants: { pads: [0, 0, 1, 0, 0, 2], value: { float: 7 } },
    nodes: [{ operator: 'Pad', inputs: ['x', 'pads', 'value', ''] }],
  },
  'AveragePool with dilations of 1': {
    opset: 19,
    nodes: [
      { operator: 'AveragePool', attributes: { kernel_shape: [2], strides: [1], dilations: [1] } },
    ],
  },
  'Cast that saturates': {
    opset: 19,
    nodes: [{ operator: 'Cast', attributes: { to: 6, saturate: 1 } }],
    outputType: 6,
  },
  'Upsample to the nearest element': {
    opset: 9,
    constants: { scales: { floats: [1, 2, 1.5] } },
    nodes: [{ operator: 'Upsample', inputs: ['x', 'scales'], attributes: { mode: 'nearest' } }],
  },
  'Upsample between elements': {
    opset: 9,
    constants: { scales: { floats: [1, 2, 2] } },
    nodes: [{ operator: 'Upsample', inputs: ['x', 'scales'], attributes: { mode: 'linear' } }],
  },
  'Resize without a region': {
    opset: 10,
    constants: { scales: { floats: [1, 1, 1.6] } },
    nodes: [{ operator: 'Resize', inputs: ['x', 'scales'], attributes: { mode: 'nearest' } }],
  },
  'Resize that stretches': {
    opset: 18,
    constants: { sizes: [2, 3, 7] },
    nodes: [
      {
        operator: 'Resize',
        inputs: ['x', '', '', 'sizes'],
        attributes: { mode: 'linear', antialias: 0, keep_aspect_ratio_policy: 'stretch' },
      },
    ],
  },
  Gelu: { opset: 20, nodes: [{ operator: 'Gelu' }] },
  'Gelu by tanh': { opset: 20, nodes: [{ operator: 'Gelu', attributes: { approximate: 'tanh' } }] },
};

describe('toOpset17', () => {
  for (const [what, file] of Object.entries(CASES)) {
    test(`computes the same: ${what}, opset ${file.opset}`, async () => {
      const bytes = fileOf(file);
      const expected = await run(bytes);

      const actual = await run(encodeGraph(decodeGraphFile(bytes)));

      assert.deepEqual(actual.dims, expected.dims);
      for (const [i, value] of actual.data.entries()) {
        assert.ok(
          Math.abs(value - expected.data[i]!) <= 1e-6,
          `element ${i}: ${value}, not ${expected.data[i]}`,
        );
      }
    });
  }

  test('takes constants in every form that Constant has', async () => {
    const nodes = [
      { operator: 'Constant', inputs: [], outputs: ['sizes'], attributes: { value_ints: [6, 4] } },
      {
        operator: 'Constant',
        inputs: [],
        outputs: ['factor'],
        attributes: { value_float: { float: 2 } },
      },
      { operator: 'Reshape', inputs: ['x', 'sizes'], outputs: ['flat'] },
      { operator: 'Mul', inputs: ['flat', 'factor'] },
    ];
    const bytes = fileOf({ opset: 13, nodes });

    assert.deepEqual(await run(encodeGraph(decodeGraphFile(bytes))), await run(bytes));
  });

  test('names nodes that opset 17 cannot say', () => {
    const dilated = fileOf({
      opset: 19,
      nodes: [{ operator: 'AveragePool', attributes: { kernel_shape: [2], dilations: [2] } }],
    });
    const computed = fileOf({
      opset: 18,
      nodes: [
        { operator: 'Shape', outputs: ['axes'] },
        { operator: 'ReduceMean', inputs: ['x', 'axes'] },
      ],
    });
    const padded = fileOf({
      opset: 18,
      constants: { pads: [1, 1], value: { float: 7 }, axes: [0] },
      nodes: [{ operator: 'Pad', inputs: ['x', 'pads', 'value', 'axes'] }],
    });

    assert.throws(() => decodeGraphFile(dilated), /AveragePool at the AveragePool: its dilations/);
    assert.throws(
      () => decodeGraphFile(computed),
      /ReduceMean at the ReduceMean: its axes are computed/,
    );
    assert.throws(() => decodeGraphFile(padded), /Pad at the Pad: its input 3/);
    const smoothed = fileOf({
      opset: 18,
      constants: { scales: { floats: [1, 1, 0.5] } },
      nodes: [{ operator: 'Resize', inputs: ['x', '', 'scales'], attributes: { antialias: 1 } }],
    });
    assert.throws(() => decodeGraphFile(smoothed), /Resize at the Resize: its antialias/);
  });

  test('refuses a constant without a value', () => {
    const bytes = fileOf({
      opset: 17,
      nodes: [{ operator: 'Constant', inputs: [], attributes: { value_string: 'a' } }],
    });

    assert.throws(() => decodeGraphFile(bytes), GraphError);
  });
});
