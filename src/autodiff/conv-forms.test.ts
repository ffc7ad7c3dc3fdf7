import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { checkWithOnnx, onnxCheckerMissing } from '../../test/onnx-checker.ts';
import { runGraph } from '../../test/run-graph.ts';
import { RandomWords } from '../base/random.ts';
import { GraphBuilder } from '../graph/builder.ts';
import { encodeGraph } from '../graph/file/encode.ts';
import type { Graph } from '../graph/types.ts';
import {
  convForms,
  convWorkKey,
  makeConvFormGraph,
  type ConvForm,
  type ConvFormChooser,
  type ConvWork,
} from './conv-forms.ts';
import { convSignatureOf, kernelPositions, product, type ConvSignature } from './conv-signature.ts';
import { differentiateGraph } from './differentiate.ts';

const KINDS = ['output', 'weight', 'input'] as const;

interface Attributes {
  readonly strides?: readonly number[];
  readonly dilations?: readonly number[];
  readonly pads?: readonly number[];
  readonly group?: number;
}

function signature(
  x: readonly number[],
  weight: readonly number[],
  attributes: Attributes = {},
): ConvSignature {
  const infos = [x, weight].map((shape) => ({ type: 'float32', shape }) as const);
  return convSignatureOf(
    { operator: 'Conv', name: 'conv', inputs: infos, attributes: { ...attributes } },
    x,
    weight,
  );
}

const SIGNATURES: readonly ConvSignature[] = [
  signature([2, 3, 5, 4], [4, 3, 3, 2]),
  signature([2, 3, 5, 5], [4, 3, 1, 1]),
  signature([2, 3, 6, 5], [4, 3, 3, 3], { pads: [1, 1, 1, 1] }),
  signature([2, 3, 6, 5], [4, 3, 3, 3], { pads: [0, 2, 1, 0] }),
  signature([2, 3, 7, 6], [4, 3, 3, 3], { strides: [2, 2], pads: [1, 1, 1, 1] }),
  signature([2, 3, 8, 8], [4, 3, 1, 1], { strides: [3, 2] }),
  signature([2, 3, 7, 7], [4, 3, 2, 3], { dilations: [2, 3], pads: [1, 3, 1, 3] }),
  signature([2, 3, 9, 8], [4, 3, 3, 2], { strides: [2, 3], dilations: [2, 1], pads: [2, 1, 2, 1] }),
  signature([2, 4, 6, 6], [6, 2, 3, 3], { group: 2, pads: [1, 1, 1, 1] }),
  signature([2, 4, 6, 6], [6, 2, 3, 3], { group: 2, strides: [2, 2], pads: [1, 1, 1, 1] }),
  signature([2, 3, 5, 5], [3, 1, 3, 3], { group: 3, pads: [1, 1, 1, 1] }),
  signature([2, 3, 9], [4, 3, 4], { strides: [2], pads: [1, 2] }),
  signature([2, 3, 9], [4, 3, 3], { dilations: [2] }),
  signature([2, 2, 4, 3, 4], [3, 2, 2, 2, 3], { pads: [0, 1, 1, 1, 0, 1] }),
  // Padding wider than the kernel: the outermost positions see nothing but zeros.
  signature([2, 3, 4, 4], [4, 3, 2, 2], { pads: [2, 2, 2, 2] }),
  signature([4, 8, 2, 2], [8, 8, 3, 3], { pads: [1, 1, 1, 1] }),
];

/** The convolution and both gradients by the definition, in float64. */
function resultsByDefinition(
  {
    batch,
    channels,
    outputs,
    sizes,
    counts,
    kernel,
    strides,
    dilations,
    padsBegin,
    group,
  }: ConvSignature,
  [x, weight, dy]: readonly [ArrayLike<number>, ArrayLike<number>, ArrayLike<number>],
): Record<ConvWork['kind'], number[]> {
  const perGroup = channels / group;
  const y = Array<number>(dy.length).fill(0);
  const dx = Array<number>(x.length).fill(0);
  const dw = Array<number>(weight.length).fill(0);
  const places = kernelPositions({ kernel });
  const windows = kernelPositions({ kernel: counts });
  for (let b = 0; b < batch; b++) {
    for (let m = 0; m < outputs; m++) {
      for (let c = 0; c < perGroup; c++) {
        const channel = Math.floor(m / (outputs / group)) * perGroup + c;
        for (const [p, place] of places.entries()) {
          for (const [w, window] of windows.entries()) {
            const at = window.map(
              (i, axis) => i * strides[axis]! + place[axis]! * dilations[axis]! - padsBegin[axis]!,
            );
            if (at.some((i, axis) => i < 0 || i >= sizes[axis]!)) continue;
            const inside = at.reduce((index, i, axis) => index * sizes[axis]! + i, 0);
            const xIndex = (b * channels + channel) * product(sizes) + inside;
            const wIndex = (m * perGroup + c) * places.length + p;
            const yIndex = (b * outputs + m) * windows.length + w;
            y[yIndex]! += weight[wIndex]! * x[xIndex]!;
            dx[xIndex]! += dy[yIndex]! * weight[wIndex]!;
            dw[wIndex]! += dy[yIndex]! * x[xIndex]!;
          }
        }
      }
    }
  }
  return { output: y, input: dx, weight: dw };
}

function randomValues(count: number, salt: number): Float32Array {
  const words = new RandomWords(salt, 'probe');
  return Float32Array.from({ length: count }, (_, i) => words.uniform(i) * 2 - 1);
}

describe('makeConvFormGraph', () => {
  for (const one of SIGNATURES) {
    const values = [
      randomValues(one.batch * one.channels * product(one.sizes), 1),
      randomValues((one.outputs * one.channels * product(one.kernel)) / one.group, 2),
      randomValues(one.batch * one.outputs * product(one.counts), 3),
    ] as const;
    const [x, weight, dy] = values;
    const expected = resultsByDefinition(one, values);
    for (const kind of KINDS) {
      for (const form of convForms({ kind, signature: one })) {
        const key = convWorkKey({ kind, signature: one });
        test(`gives the definition's numbers: ${form}, ${key}`, async () => {
          const graph = makeConvFormGraph({ kind, signature: one }, form);

          const outputs = await runGraph(graph, { x, weight, dy });

          const result = outputs.get('result')!;
          assert.equal(result.length, expected[kind].length);
          for (const [i, value] of expected[kind].entries()) {
            assert.ok(
              Math.abs(result[i]! - value) < 1e-5 * (1 + Math.abs(value)),
              `[${i}]: ${result[i]}, ${value}`,
            );
          }
        });
      }
    }
  }

  test('emits models that the ONNX checker accepts', { skip: onnxCheckerMissing() }, () => {
    const works = SIGNATURES.flatMap((one) =>
      KINDS.map((kind): ConvWork => ({ kind, signature: one })),
    );
    const graphs = works.flatMap((work) =>
      convForms(work).map((form) => makeConvFormGraph(work, form)),
    );

    assert.equal(checkWithOnnx(graphs.map((graph) => encodeGraph(graph))), '');
  });

  test('refuses a form that does not fit the convolution', () => {
    const strided = signature([2, 3, 7, 7], [4, 3, 3, 3], { strides: [2, 2] });

    assert.throws(() => makeConvFormGraph({ kind: 'input', signature: strided }, 'flipped'), {
      message:
        'input x2x3x7x7 w4x3x3 s2x2 d1x1 p0x0x0x0 g1: expected a form of columns, ' +
        'transposed, got flipped',
    });
  });

  test('refuses a convolution of groups as columns', () => {
    const grouped = signature([2, 4, 6, 6], [6, 2, 3, 3], { group: 2 });

    assert.throws(() => makeConvFormGraph({ kind: 'output', signature: grouped }, 'columns'), {
      code: 'GRAPH_UNSUPPORTED',
      message: /expected a form of operator, got columns/,
    });
  });
});

describe('chooseForm', () => {
  const draw = (chooseForm?: ConvFormChooser): Graph => {
    const g = new GraphBuilder('two layers');
    const x = g.input('x', 'float32', [2, 3, 6, 6]);
    const first = g.conv(
      x,
      g.input('first', 'float32', [4, 3, 3, 3]),
      g.input('bias', 'float32', [4]),
    );
    const second = g.conv(g.relu(first), g.input('second', 'float32', [5, 4, 3, 3]));
    g.output('loss', g.reduceSum(g.mul(second, second)));
    return differentiateGraph(g.build(), 'loss', ['first', 'bias', 'second'], { chooseForm });
  };
  const columnsFor = ({ kind }: ConvWork): ConvForm => (kind === 'weight' ? 'swapped' : 'columns');

  test('is asked for each convolution and for each gradient that is needed', () => {
    const asked: string[] = [];

    draw((work) => {
      asked.push(convWorkKey(work));
      return undefined;
    });

    assert.deepEqual(asked, [
      'output x2x3x6x6 w4x3x3 s1x1 d1x1 p0x0x0x0 g1',
      'output x2x4x4x4 w5x3x3 s1x1 d1x1 p0x0x0x0 g1',
      'input x2x4x4x4 w5x3x3 s1x1 d1x1 p0x0x0x0 g1',
      'weight x2x4x4x4 w5x3x3 s1x1 d1x1 p0x0x0x0 g1',
      'weight x2x3x6x6 w4x3x3 s1x1 d1x1 p0x0x0x0 g1',
    ]);
  });

  test('decides what is drawn', () => {
    const operators = draw(columnsFor).nodes.map(({ operator }) => operator);

    assert.equal(operators.filter((operator) => operator === 'Conv').length, 2);
    assert.ok(!operators.includes('ConvTranspose') && !operators.includes('Pad'));
  });

  test('changes no output of the step beyond rounding', async () => {
    const feeds = {
      x: randomValues(2 * 3 * 36, 1),
      first: randomValues(4 * 27, 2),
      bias: randomValues(4, 3),
      second: randomValues(5 * 36, 4),
    };

    const usual = await runGraph(draw(), feeds);
    const chosen = await runGraph(draw(columnsFor), feeds);

    for (const [name, values] of usual) {
      for (const [i, value] of values.entries()) {
        const other = chosen.get(name)![i]!;
        assert.ok(
          Math.abs(other - value) <= 1e-5 * (10 + Math.abs(value)),
          `${name}[${i}]: ${other}, ${value}`,
        );
      }
    }
  });
});
