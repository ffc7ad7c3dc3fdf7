import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { runGraph } from '../../test/run-graph.ts';
import { GraphError, LockstepError, ShapeError } from '../base/errors.ts';
import { GraphBuilder } from './builder.ts';
import { foldConstants } from './fold-constants.ts';
import { makeTensorData } from './graph-assembly.ts';
import type { OperatorName } from './operators/operators.ts';
import type { Attributes, ElementType, Tensor } from './values/types.ts';

type Constant = Omit<Tensor, 'name'>;

function constant(
  type: ElementType,
  shape: readonly number[],
  elements: readonly number[],
): Constant {
  return { type, shape, data: makeTensorData(type, elements) };
}
const ints = (...elements: number[]): Constant => constant('int64', [elements.length], elements);
const int = (element: number): Constant => constant('int64', [], [element]);
const floats = (...elements: number[]): Constant =>
  constant('float32', [elements.length], elements);
const matrix = constant('float32', [2, 3], [1, -2, 3.5, 4, 0, -6]);
const cube = constant('int32', [2, 3, 2], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);

const CASES: readonly (readonly [OperatorName, readonly Constant[], Attributes?])[] = [
  ['Shape', [cube]],
  ['Shape', [cube], { start: 1 }],
  ['Shape', [cube], { start: -2, end: -1 }],
  ['Size', [cube]],
  ['Identity', [matrix]],
  ['Reshape', [cube, ints(0, -1)]],
  ['Flatten', [cube], { axis: 2 }],
  ['Squeeze', [constant('float32', [1, 2, 1], [1, 2]), ints(0)]],
  ['Unsqueeze', [int(4), ints(0)]],
  ['Expand', [constant('int64', [2, 1], [1, 2]), ints(3, 1, 2)]],
  ['Transpose', [cube], { perm: [2, 0, 1] }],
  ['Transpose', [matrix]],
  ['Slice', [cube, ints(1), ints(2 ** 62), ints(1)]],
  ['Slice', [cube, ints(-1, 2), ints(-(2 ** 62), 0), ints(0, 1), ints(-1, -2)]],
  ['Slice', [ints(5, 6, 7), ints(-2), ints(-1)]],
  ['Gather', [ints(8, 5, 9), int(-1)]],
  ['Gather', [cube, constant('int64', [2, 2], [0, 2, 2, 1])], { axis: 1 }],
  ['Gather', [matrix, int(1)]],
  ['Concat', [ints(1), ints(2, 3), ints(-1)], { axis: 0 }],
  ['Concat', [matrix, constant('float32', [2, 1], [8, 9])], { axis: -1 }],
  ['Range', [int(2), int(9), int(3)]],
  ['Range', [int(5), int(0), int(-2)]],
  [
    'Range',
    [constant('float32', [], [0]), constant('float32', [], [1]), constant('float32', [], [0.25])],
  ],
  ['ConstantOfShape', [ints(2, 2)]],
  ['ConstantOfShape', [ints(3)], { value: { name: '', ...ints(7) } }],
  ['Where', [constant('bool', [3], [1, 0, 1]), matrix, floats(9)]],
  ['Where', [constant('bool', [2, 1], [0, 1]), ints(1, 2), ints(3)]],
  ['Cast', [floats(1.75, -1.75, 0)], { to: 'int64' }],
  ['Cast', [floats(0.5, 0, -0)], { to: 'bool' }],
  ['Cast', [ints(3, 0)], { to: 'float32' }],
  ['Cast', [ints(3, -4)], { to: 'int32' }],
  ['Cast', [constant('bool', [2], [1, 0])], { to: 'int64' }],
  ['Add', [ints(1, 2), int(3)]],
  ['Add', [floats(0.1, 1e8), floats(0.2, 1)]],
  ['Sub', [matrix, constant('float32', [2, 1], [1, 2])]],
  ['Mul', [ints(4, -5), int(3)]],
  ['Div', [ints(7, -7), int(2)]],
  ['Div', [constant('int32', [2], [7, -7]), constant('int32', [], [2])]],
  ['Div', [floats(1, 2), floats(3)]],
  ['Pow', [floats(64, 2), floats(0.5)]],
  ['Min', [ints(4, 5), int(4), ints(3, 9)]],
  ['Max', [floats(4, 5), floats(4.5)]],
  ['Equal', [ints(1, -1), int(-1)]],
  ['Equal', [floats(0, -0), floats(0)]],
  ['Less', [ints(1, 2), int(2)]],
  ['LessOrEqual', [floats(1, 2), floats(2)]],
  ['Greater', [ints(1, 3), int(2)]],
  ['GreaterOrEqual', [floats(1, 2), floats(2)]],
  ['And', [constant('bool', [2], [1, 1]), constant('bool', [2], [1, 0])]],
  ['Or', [constant('bool', [2], [0, 0]), constant('bool', [2], [1, 0])]],
  ['Not', [constant('bool', [2], [0, 1])]],
  ['Neg', [ints(3, -4)]],
  ['Neg', [matrix]],
  ['Abs', [ints(3, -4)]],
  ['Floor', [floats(1.5, -1.5)]],
  ['Ceil', [floats(1.5, -1.5)]],
  ['Sqrt', [floats(2, 64)]],
];

describe('foldConstants', () => {
  for (const [number, [operator, inputs, attributes = {}]] of CASES.entries()) {
    test(`gives what ONNX Runtime computes: ${operator} (case ${number})`, async () => {
      const g = new GraphBuilder('fold');
      const values = inputs.map(({ type, shape, data }, i) =>
        g.initializer(`input.${i}`, type, shape, data),
      );
      const y = g.apply(operator, values, attributes);
      g.output('y', y);
      const computed = (await runGraph(g.build(), {})).get('y');

      const folded = foldConstants({
        operator,
        name: 'node',
        attributes,
        inputs: inputs.map(({ data, ...type }) => ({ ...type, constant: data })),
      });

      assert.deepEqual(
        folded && Array.from(folded.data as ArrayLike<number | bigint>, Number),
        computed,
      );
      assert.deepEqual([folded?.type, folded?.shape], [y.type, y.shape]);
    });
  }

  test('needs only the shape of what Shape and Size measure', () => {
    const x = { type: 'float32', shape: [4, 7] } as const;

    const folded = foldConstants({ operator: 'Shape', name: 'node', inputs: [x], attributes: {} });

    assert.deepEqual(folded?.data, BigInt64Array.of(4n, 7n));
  });

  test('leaves alone what it cannot know or need not compute', () => {
    const known = { type: 'float32', shape: [1], constant: Float32Array.of(1) } as const;
    const unknown = { type: 'float32', shape: [1] } as const;
    const symbolic = { type: 'float32', shape: ['batch'] } as const;
    const fold = (
      operator: OperatorName,
      ...inputs: Parameters<typeof foldConstants>[0]['inputs']
    ) => foldConstants({ operator, name: 'node', inputs, attributes: {} });

    assert.equal(fold('Add', known, unknown), undefined);
    assert.equal(fold('Shape', symbolic), undefined);
    assert.equal(fold('Erf', known), undefined);
    assert.equal(fold('Slice', known, undefined, known), undefined);
  });

  const refused: Readonly<Record<string, Parameters<typeof foldConstants>[0]>> = {
    'an index outside': callOf('Gather', [ints(1, 2), int(2)]),
    'an integer divided by zero': callOf('Div', [ints(1), int(0)]),
    'a float that no integer is near': callOf('Cast', [floats(Infinity)], { to: 'int64' }),
    'shapes that do not broadcast': callOf('Add', [ints(1, 2), ints(1, 2, 3)]),
    'a range of a step of 0': callOf('Range', [int(0), int(5), int(0)]),
  };
  for (const [what, call] of Object.entries(refused)) {
    test(`refuses ${what}`, () => {
      assert.throws(() => foldConstants(call), ShapeError);
    });
  }

  test('leaves a constant of gigabytes to ONNX Runtime when its inputs are as large', () => {
    const large = {
      type: 'bool',
      shape: [5000, 5000],
      constant: new Uint8Array(25_000_000),
    } as const;

    assert.equal(
      foldConstants({ operator: 'Not', name: 'node', inputs: [large], attributes: {} }),
      undefined,
    );
  });

  test('refuses to make a constant of gigabytes before it allocates', () => {
    for (const call of [
      callOf('ConstantOfShape', [ints(2 ** 20, 2 ** 20)]),
      callOf('Expand', [floats(1), ints(2 ** 30)]),
      callOf('Range', [int(0), int(2 ** 40), int(1)]),
      callOf('Range', [floats(0), floats(3e38), floats(1e-38)]),
    ]) {
      assert.throws(() => foldConstants(call), GraphError);
    }
    assert.throws(() => foldConstants(callOf('ConstantOfShape', [ints(-1)])), LockstepError);
  });
});

function callOf(
  operator: OperatorName,
  inputs: readonly Constant[],
  attributes: Attributes = {},
): Parameters<typeof foldConstants>[0] {
  return {
    operator,
    name: 'node',
    attributes,
    inputs: inputs.map(({ data, ...type }) => ({ ...type, constant: data })),
  };
}
