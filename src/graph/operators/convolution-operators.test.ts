import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { checkWithOnnx, onnxCheckerMissing } from '../../../test/onnx-checker.ts';
import { loadGraph } from '../../../test/run-graph.ts';
import { ShapeError } from '../../base/errors.ts';
import { GraphBuilder } from '../builder.ts';
import { encodeGraph } from '../file/encode.ts';
import type { OperatorName } from './operators.ts';
import { formatShape } from '../values/shape.ts';
import type { Graph } from '../types.ts';
import type { Attributes, Shape } from '../values/types.ts';

type Case = readonly [
  operator: OperatorName,
  inputs: readonly Shape[],
  expected: Shape,
  attributes?: Attributes,
];

/** One node over float32 inputs of these shapes. */
function graphOf([operator, inputs, , attributes = {}]: Case): Graph {
  const g = new GraphBuilder(operator);
  const values = inputs.map((shape, i) => g.input(`input${i}`, 'float32', shape));
  g.output('y', g.apply(operator, values, attributes));
  return g.build();
}

const same = (mode: string, more: Attributes = {}): Attributes => ({ auto_pad: mode, ...more });
const pool = (kernel: readonly number[], more: Attributes = {}): Attributes => ({
  kernel_shape: kernel,
  ...more,
});

const CASES: readonly Case[] = [
  ['Conv', [[2, 3, 8, 7], [4, 3, 3, 2], [4]], [2, 4, 6, 6]],
  [
    'Conv',
    [
      [2, 3, 8, 7],
      [4, 3, 3, 3],
    ],
    [2, 4, 4, 4],
    { strides: [2, 2], pads: [1, 1, 1, 1] },
  ],
  [
    'Conv',
    [
      [2, 3, 8, 7],
      [4, 3, 3, 3],
    ],
    [2, 4, 5, 3],
    { dilations: [2, 2], pads: [1, 0, 0, 0] },
  ],
  [
    'Conv',
    [
      [2, 4, 5, 5],
      [6, 2, 3, 3],
    ],
    [2, 6, 3, 3],
    { group: 2 },
  ],
  [
    'Conv',
    [
      [2, 3, 9],
      [4, 3, 4],
    ],
    [2, 4, 3],
    { strides: [3], pads: [1, 0] },
  ],
  [
    'Conv',
    [
      [1, 2, 4, 4, 4],
      [3, 2, 2, 2, 2],
    ],
    [1, 3, 3, 3, 3],
  ],
  [
    'Conv',
    [
      [2, 3, 7, 7],
      [4, 3, 3, 3],
    ],
    [2, 4, 4, 4],
    same('SAME_UPPER', { strides: [2, 2] }),
  ],
  [
    'Conv',
    [
      [2, 3, 6, 6],
      [4, 3, 3, 3],
    ],
    [2, 4, 3, 3],
    same('SAME_LOWER', { strides: [2, 2] }),
  ],
  [
    'Conv',
    [
      [2, 3, 6, 6],
      [4, 3, 3, 3],
    ],
    [2, 4, 2, 2],
    same('VALID', { strides: [2, 2] }),
  ],
  ['ConvTranspose', [[2, 3, 4, 5], [3, 2, 3, 3], [2]], [2, 2, 6, 7]],
  [
    'ConvTranspose',
    [
      [2, 4, 4, 5],
      [4, 2, 3, 3],
    ],
    [2, 4, 8, 10],
    { strides: [2, 2], pads: [1, 1, 1, 1], output_padding: [1, 1], group: 2 },
  ],
  ['MaxPool', [[2, 3, 8, 7]], [2, 3, 4, 3], pool([2, 2], { strides: [2, 2] })],
  ['MaxPool', [[2, 3, 8, 7]], [2, 3, 4, 4], pool([3, 3], { strides: [2, 2], pads: [1, 1, 1, 1] })],
  ['MaxPool', [[2, 3, 8, 7]], [2, 3, 4, 4], pool([2, 2], { strides: [2, 2], ceil_mode: 1 })],
  ['MaxPool', [[2, 3, 9]], [2, 3, 5], pool([3], { dilations: [2] })],
  // The second window along each axis would begin in the padding behind the image.
  ['MaxPool', [[1, 1, 2, 2]], [1, 1, 1, 1], pool([2, 2], { strides: [3, 3], pads: [1, 1, 1, 1] })],
  [
    'AveragePool',
    [[2, 3, 8, 8]],
    [2, 3, 4, 4],
    pool([2, 2], { strides: [2, 2], count_include_pad: 1 }),
  ],
  ['AveragePool', [[2, 3, 7, 7]], [2, 3, 4, 4], pool([2, 2], { strides: [2, 2], ceil_mode: 1 })],
  ['GlobalAveragePool', [[2, 3, 8, 7]], [2, 3, 1, 1]],
  ['GlobalMaxPool', [[2, 3, 8]], [2, 3, 1]],
  ['BatchNormalization', [[2, 3, 4, 5], [3], [3], [3], [3]], [2, 3, 4, 5], { epsilon: 0.001 }],
  ['BatchNormalization', [[2, 3], [3], [3], [3], [3]], [2, 3]],
];

function nameOf([operator, inputs, expected, attributes = {}]: Case): string {
  return (
    `${formatShape(expected)} for ${operator} of ${inputs.map(formatShape).join(' ')} ` +
    JSON.stringify(attributes)
  );
}

describe('CONVOLUTION_OPERATORS', () => {
  for (const one of CASES) {
    test(`gives ${nameOf(one)}, as ONNX Runtime does`, async () => {
      const graph = graphOf(one);

      assert.deepEqual(graph.outputs[0]?.shape, one[2]);
      // Throws when ONNX Runtime's shape is another one.
      await (
        await loadGraph(graph)
      )({});
    });
  }

  test('gives graphs that the ONNX checker accepts', { skip: onnxCheckerMissing() }, () => {
    assert.equal(checkWithOnnx(CASES.map((one) => encodeGraph(graphOf(one)))), '');
  });

  test('keeps a symbolic batch', () => {
    const g = new GraphBuilder('image');
    const x = g.input('x', 'float32', ['batch', 3, 8, 8]);
    const h = g.conv(x, g.input('weight', 'float32', [4, 3, 3, 3]), undefined, {
      pads: [1, 1, 1, 1],
    });
    const y = g.globalAveragePool(g.maxPool(h, { kernel: [2, 2], strides: [2, 2] }));

    assert.deepEqual(h.shape, ['batch', 4, 8, 8]);
    assert.deepEqual(y.shape, ['batch', 4, 1, 1]);
  });

  test('pads and cuts with Pad, but no symbolic axis', () => {
    const g = new GraphBuilder('pad');
    const x = g.input('x', 'float32', ['batch', 3, 8, 8]);

    assert.deepEqual(g.pad(x, [0, 0, 1, -2, 0, 0, 2, 0]).shape, ['batch', 3, 11, 6]);
    assert.throws(() => g.pad(x, [1, 0, 0, 0, 0, 0, 0, 0]), /the symbolic axis 0 cannot be padded/);
    assert.throws(() => g.pad(x, [0, 0, -8, 0, 0, 0, -1, 0]), ShapeError);
    assert.throws(() => g.pad(x, [1, 1]), /expected 8 pads, got 2/);
  });

  const misfits: readonly (readonly [
    reason: RegExp,
    operator: OperatorName,
    inputs: readonly Shape[],
    Attributes?,
  ])[] = [
    [
      /the weight takes 4 channels, the input has 3/,
      'Conv',
      [
        [2, 3, 8, 8],
        [4, 4, 3, 3],
      ],
    ],
    [
      /group 2 must divide the channels 3 and 4/,
      'Conv',
      [
        [2, 3, 8, 8],
        [4, 1, 3, 3],
      ],
      { group: 2 },
    ],
    [
      /a window of 9 does not fit into 8 padded by 0 \+ 0/,
      'Conv',
      [
        [2, 3, 8, 8],
        [4, 3, 9, 9],
      ],
    ],
    [
      /the weight must have rank 4/,
      'Conv',
      [
        [2, 3, 8, 8],
        [4, 3, 3],
      ],
    ],
    [/the bias must be \[4\]/, 'Conv', [[2, 3, 8, 8], [4, 3, 3, 3], [3]]],
    [
      /strides must have 2 entries, got 1/,
      'Conv',
      [
        [2, 3, 8, 8],
        [4, 3, 3, 3],
      ],
      { strides: [1] },
    ],
    [
      /must be 1 or more/,
      'Conv',
      [
        [2, 3, 8, 8],
        [4, 3, 3, 3],
      ],
      { strides: [0, 1] },
    ],
    [
      /expected 4 pads of 0 or more/,
      'Conv',
      [
        [2, 3, 8, 8],
        [4, 3, 3, 3],
      ],
      { pads: [-1, 0, 0, 0] },
    ],
    [
      /only the batch may be symbolic/,
      'Conv',
      [
        [2, 3, 'height', 8],
        [4, 3, 3, 3],
      ],
    ],
    [
      /auto_pad SAME is not known/,
      'Conv',
      [
        [2, 3, 8, 8],
        [4, 3, 3, 3],
      ],
      { auto_pad: 'SAME' },
    ],
    [
      /the weight takes 4 channels/,
      'ConvTranspose',
      [
        [2, 3, 8, 8],
        [4, 3, 3, 3],
      ],
    ],
    [
      /give pads and output_padding/,
      'ConvTranspose',
      [
        [2, 3, 4],
        [3, 3, 3],
      ],
      { output_shape: [8] },
    ],
    [/kernel_shape is missing/, 'MaxPool', [[2, 3, 8, 8]]],
    [
      /pads must be smaller than the kernel/,
      'MaxPool',
      [[2, 3, 8]],
      { kernel_shape: [2], pads: [2, 2] },
    ],
    [
      /training_mode 1 is not supported/,
      'BatchNormalization',
      [[2, 3], [3], [3], [3], [3]],
      { training_mode: 1 },
    ],
    [/input 3 must be \[3\]/, 'BatchNormalization', [[2, 3], [3], [3], [2], [3]]],
  ];
  for (const [reason, operator, inputs, attributes] of misfits) {
    test(
      `refuses ${operator} of ${inputs.map(formatShape).join(' ')} ` +
        JSON.stringify(attributes ?? {}),
      () => {
        const build = (): Graph => graphOf([operator, inputs, [], attributes ?? {}]);

        assert.throws(build, { code: 'SHAPE_MISMATCH', message: reason });
      },
    );
  }
});
