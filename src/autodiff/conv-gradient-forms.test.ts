import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { runGraph } from '../../test/run-graph.ts';
import { RandomWords } from '../base/random.ts';
import { GraphBuilder } from '../graph/builder.ts';
import {
  convForms,
  convGradientKey,
  makeConvGradientGraph,
  type ConvForm,
  type ConvGradient,
} from './conv-gradient-forms.ts';
import { convSignatureOf, kernelPositions, product, type ConvSignature } from './conv-signature.ts';
import { differentiateGraph } from './differentiate.ts';

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

/** Both gradients by the definition, in float64. */
function gradientsByDefinition(
  { batch, channels, outputs, sizes, counts, kernel, strides, dilations, padsBegin, group }: ConvSignature,
  [x, weight, dy]: readonly [ArrayLike<number>, ArrayLike<number>, ArrayLike<number>],
): Record<ConvGradient['kind'], number[]> {
  const perGroup = channels / group;
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
            const gradient = dy[(b * outputs + m) * windows.length + w]!;
            dx[xIndex]! += gradient * weight[wIndex]!;
            dw[wIndex]! += gradient * x[xIndex]!;
          }
        }
      }
    }
  }
  return { input: dx, weight: dw };
}

function randomValues(count: number, salt: number): Float32Array {
  const words = new RandomWords(salt, 'probe');
  return Float32Array.from({ length: count }, (_, i) => words.uniform(i) * 2 - 1);
}

describe('drawConvGradient', () => {
  for (const one of SIGNATURES) {
    const values = [
      randomValues(one.batch * one.channels * product(one.sizes), 1),
      randomValues((one.outputs * one.channels * product(one.kernel)) / one.group, 2),
      randomValues(one.batch * one.outputs * product(one.counts), 3),
    ] as const;
    const expected = gradientsByDefinition(one, values);
    for (const kind of ['weight', 'input'] as const) {
      for (const form of convForms({ kind, signature: one })) {
        test(`gives the definition's numbers: ${form}, ${convGradientKey({ kind, signature: one })}`, async () => {
          const graph = makeConvGradientGraph({ kind, signature: one }, form);

          const outputs = await runGraph(graph, { other: values[kind === 'weight' ? 0 : 1], dy: values[2] });

          const gradient = outputs.get('gradient')!;
          assert.equal(gradient.length, expected[kind].length);
          for (const [i, value] of expected[kind].entries()) {
            assert.ok(
              Math.abs(gradient[i]! - value) < 1e-5 * (1 + Math.abs(value)),
              `[${i}]: ${gradient[i]}, ${value}`,
            );
          }
        });
      }
    }
  }

  test('refuses a form that does not fit the convolution', () => {
    const strided = signature([2, 3, 7, 7], [4, 3, 3, 3], { strides: [2, 2] });

    assert.throws(() => makeConvGradientGraph({ kind: 'input', signature: strided }, 'flipped'), {
      message: 'input x2x3x7x7 w4x3x3 s2x2 d1x1 p0x0x0x0 g1: expected a form of transposed, got flipped',
    });
  });

  test('is asked once for each gradient that is needed, and draws what is chosen', () => {
    const g = new GraphBuilder('two layers');
    const x = g.input('x', 'float32', [2, 3, 6, 6]);
    const first = g.conv(x, g.input('first', 'float32', [4, 3, 3, 3]));
    const second = g.conv(first, g.input('second', 'float32', [5, 4, 3, 3]));
    g.output('loss', g.reduceSum(second));
    const asked: string[] = [];
    const choose = (gradient: ConvGradient): ConvForm => {
      asked.push(convGradientKey(gradient));
      return gradient.kind === 'weight' ? 'swapped' : 'flipped';
    };

    const graph = differentiateGraph(g.build(), 'loss', ['first', 'second'], { chooseForm: choose });

    assert.deepEqual(asked, [
      'input x2x4x4x4 w5x3x3 s1x1 d1x1 p0x0x0x0 g1',
      'weight x2x4x4x4 w5x3x3 s1x1 d1x1 p0x0x0x0 g1',
      'weight x2x3x6x6 w4x3x3 s1x1 d1x1 p0x0x0x0 g1',
    ]);
    const operators = graph.nodes.map(({ operator }) => operator);
    assert.equal(operators.filter((operator) => operator === 'Conv').length, 5);
    assert.ok(!operators.includes('ConvTranspose') && !operators.includes('MatMul'));
  });
});
