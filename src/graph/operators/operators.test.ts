import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { GraphError, ShapeError } from '../../base/errors.ts';
import { inferOutputs, type OperatorName } from './operators.ts';
import { formatShape } from '../values/shape.ts';
import type { Attributes, ElementType, Shape, ValueType } from '../values/types.ts';

const f32 = (...shape: Shape): ValueType => ({ type: 'float32', shape });
const typed = (type: ElementType, ...shape: Shape): ValueType => ({ type, shape });
const ints = (...values: number[]): ValueType & { constant: BigInt64Array } => ({
  type: 'int64',
  shape: [values.length],
  constant: BigInt64Array.from(values, BigInt),
});
const scales = (...values: number[]): ValueType & { constant: Float32Array } => ({
  type: 'float32',
  shape: [values.length],
  constant: Float32Array.from(values),
});
const depth = (size: number): ValueType => ({ ...ints(size), shape: [] });

function infer(
  operator: OperatorName,
  inputs: readonly (ValueType | undefined)[],
  attributes: Attributes = {},
): string {
  const outputs = inferOutputs({ operator, name: 'here', inputs, attributes });
  return outputs.map(({ type, shape }) => `${type} ${formatShape(shape)}`).join(', ');
}

describe('inferOutputs', () => {
  const table: readonly (readonly [string, OperatorName, readonly ValueType[], Attributes?])[] = [
    ['float32 [2, 3]', 'Add', [f32(2, 1), f32(3)]],
    ['bool [batch]', 'Equal', [typed('int32', 'batch'), typed('int32', 'batch')]],
    ['float32 [2, 3]', 'Where', [typed('bool', 3), f32(2, 1), f32()]],
    ['int32 [2]', 'Cast', [f32(2)], { to: 'int32' }],
    ['float32 [batch, 10]', 'Gemm', [f32('batch', 4), f32(10, 4), f32(10)], { transB: 1 }],
    ['float32 [2, 5, 3, 7]', 'MatMul', [f32(2, 1, 3, 4), f32(5, 4, 7)]],
    ['float32 [2, 3]', 'MatMul', [f32(4), f32(2, 4, 3)]],
    ['float32 []', 'MatMul', [f32(4), f32(4)]],
    ['float32 []', 'ReduceSum', [f32(2, 3)], { keepdims: 0 }],
    ['float32 [2, 1]', 'ReduceSum', [f32(2, 3), ints(-1)]],
    ['float32 [3]', 'ReduceMean', [f32(2, 3)], { axes: [0], keepdims: 0 }],
    ['int64 [2]', 'ArgMax', [f32(2, 3)], { axis: -1, keepdims: 0 }],
    ['float32 [2, 3]', 'Softmax', [f32(2, 3)]],
    ['float32 [3, 4]', 'Reshape', [f32(2, 6), ints(3, -1)]],
    ['float32 [batch, 12]', 'Reshape', [f32('batch', 3, 4), ints(0, -1)]],
    ['float32 [batch, 6]', 'Reshape', [f32('batch', 2, 3), ints(-1, 6)]],
    ['float32 [batch, 12]', 'Flatten', [f32('batch', 3, 4)]],
    ['float32 [4, 2, 3]', 'Transpose', [f32(2, 3, 4)], { perm: [2, 0, 1] }],
    ['float32 [4, 3, 2]', 'Transpose', [f32(2, 3, 4)]],
    ['float32 [2, 1, 3, 1]', 'Unsqueeze', [f32(2, 3), ints(1, -1)]],
    ['float32 [2, 3]', 'Squeeze', [f32(2, 1, 3), ints(1)]],
    ['float32 [2, 3, 4]', 'Expand', [f32(3, 1), ints(2, 1, 4)]],
    ['float32 [2, 3]', 'ConstantOfShape', [ints(2, 3)]],
    ['float32 [4, 10]', 'OneHot', [typed('int32', 4), depth(10), f32(2)]],
    ['float32 [2, 4]', 'GatherElements', [f32(2, 3), typed('int64', 2, 4)], { axis: 1 }],
    ['float32 [2, 3]', 'Pow', [f32(2, 3), typed('int64')]],
    ['int64 [2, 3]', 'Max', [typed('int64', 3), typed('int64', 2, 1), typed('int64')]],
    ['float32 [batch, 3]', 'Clip', [f32('batch', 3), f32()]],
    ['bool [2, 3]', 'LessOrEqual', [f32(2, 3), f32()]],
    ['float32 [batch, 3], bool [batch, 3]', 'Dropout', [f32('batch', 3)]],
    [
      'float32 [batch, 3, 4], float32 [batch, 1, 1], float32 [batch, 1, 1]',
      'LayerNormalization',
      [f32('batch', 3, 4), f32(3, 4), f32(4)],
      { axis: 1 },
    ],
    ['float32 [3]', 'ReduceLogSumExp', [f32(2, 3)], { axes: [0], keepdims: 0 }],
    ['float32 [batch, 7, 8]', 'Gather', [f32(100, 8), typed('int32', 'batch', 7)]],
    ['float32 [batch, 8]', 'Gather', [f32('batch', 7, 8), typed('int64')], { axis: 1 }],
    ['float32 [5, 4]', 'GatherND', [f32(2, 3, 4), typed('int64', 5, 2)]],
    ['float32 [2, 3, 4]', 'ScatterND', [f32(2, 3, 4), typed('int64', 5, 2), f32(5, 4)]],
    ['float32 [batch, 9]', 'Concat', [f32('batch', 4), f32('batch', 5)], { axis: -1 }],
    ['float32 [batch, 4], float32 [batch, 1]', 'Split', [f32('batch', 5), ints(4, 1)], { axis: 1 }],
    ['float32 [batch, 2]', 'Slice', [f32('batch', 5), ints(-2), ints(99), ints(1)]],
    [
      'float32 [batch, 2]',
      'Slice',
      [f32('batch', 5), ints(0, 4), ints(2 ** 40, 0), ints(0, 1), ints(1, -2)],
    ],
    ['float32 [0, 5]', 'Slice', [f32(3, 5), ints(2), ints(1)]],
    ['float32 [batch, 6]', 'Tile', [f32('batch', 3), ints(1, 2)]],
    ['float32 [2, 3]', 'Trilu', [f32(2, 3), depth(1)]],
    ['float32 [2, 3]', 'CumSum', [f32(2, 3), depth(1)]],
    ['float32 [batch, 2, 6, 4]', 'DepthToSpace', [f32('batch', 8, 3, 2)], { blocksize: 2 }],
    ['float32 [batch, 4, 5]', 'InstanceNormalization', [f32('batch', 4, 5), f32(4), f32(4)]],
    ['float32 [2, 3, 6, 7]', 'Resize', [f32(2, 3, 4, 4), f32(0), scales(), ints(2, 3, 6, 7)]],
    ['float32 [batch, 3, 4]', 'Resize', [f32('batch', 2, 4), f32(0), scales(1, 1.5, 1)]],
    [
      'float32 [batch, 2, 7, 5]',
      'Einsum',
      [f32('batch', 7, 2, 4), f32('batch', 5, 2, 4)],
      { equation: 'bqhd,bkhd->bhqk' },
    ],
    ['float32 [3, 2]', 'Einsum', [f32(2, 3)], { equation: 'ij -> ji' }],
    ['float32 [9, 2, 4]', 'Einsum', [f32(9, 2, 3), f32(3, 4)], { equation: '...b,ba' }],
    ['int64 [2]', 'Shape', [f32('batch', 3, 4)], { start: 1 }],
    ['int64 []', 'Size', [f32('batch', 3)]],
    ['int64 [4]', 'Range', [depth(1), depth(8), depth(2)]],
  ];
  for (const [expected, operator, inputs, attributes] of table) {
    const shapes = inputs.map(({ shape }) => formatShape(shape)).join(' ');
    test(`gives ${expected} for ${operator} of ${shapes}`, () => {
      assert.equal(infer(operator, inputs, attributes), expected);
    });
  }

  const misfits: readonly (readonly [OperatorName, readonly ValueType[], Attributes?])[] = [
    ['Add', [f32(2, 3), f32(2)]],
    ['Add', [f32(2), typed('int32', 2)]],
    ['Relu', [typed('bool', 2)]],
    ['Gemm', [f32(2, 3), f32(4, 5)]],
    ['Gemm', [f32(2, 3), f32(3, 5), f32(2)]],
    ['MatMul', [f32(2, 3, 4), f32(5, 4, 6)]],
    ['ReduceSum', [f32(2, 3), ints(2)]],
    ['ReduceSum', [f32(2, 3), ints(1, -1)]],
    ['Reshape', [f32(2, 3), ints(4, -1)]],
    ['Reshape', [f32(2, 3), ints(-1, -1)]],
    ['Transpose', [f32(2, 3)], { perm: [0, 0] }],
    ['Squeeze', [f32(2, 3), ints(0)]],
    ['OneHot', [typed('int32', 4), depth(0), f32(2)]],
    ['ScatterElements', [f32(2, 3), typed('int64', 2, 1), f32(2, 2)]],
    ['Clip', [f32(2), f32(1)]],
    ['PRelu', [f32(3), f32(2, 3)]],
    ['LayerNormalization', [f32(2, 3), f32(2)]],
    ['Gather', [f32(2, 3), f32(2)]],
    ['GatherND', [f32(2, 3), typed('int64', 2, 3)]],
    ['ScatterND', [f32(2, 3), typed('int64', 5, 1), f32(5, 2)]],
    ['Concat', [f32(2, 3), f32(3, 3)], { axis: 1 }],
    ['Concat', [f32(2, 3), f32(2, 3)]],
    ['Split', [f32(5), ints(2, 2)]],
    ['Split', [f32('batch'), ints(2, 2)]],
    ['Slice', [f32('batch', 3), ints(0), ints(1)]],
    ['Slice', [f32(3), ints(0), ints(1), ints(0), ints(0)]],
    ['Tile', [f32('batch', 3), ints(2, 1)]],
    ['Trilu', [f32(3)]],
    ['CumSum', [f32(3), depth(1)]],
    ['DepthToSpace', [f32(2, 6, 3, 2)], { blocksize: 2 }],
    ['DepthToSpace', [f32(2, 4, 3)], { blocksize: 2 }],
    ['DepthToSpace', [f32(2, 4, 3, 2)], { blocksize: 2, mode: 'constructor' }],
    ['InstanceNormalization', [f32(2, 4), f32(4), f32(4)]],
    ['InstanceNormalization', [f32(2, 4, 3), f32(4), f32(3)]],
    ['Resize', [f32(2, 3)]],
    ['Resize', [f32(2, 3), f32(0), scales(1)]],
    ['Resize', [f32('batch', 3), f32(0), scales(2, 1)]],
    ['Resize', [f32(2, 3), f32(0), scales(1, 0.1)]],
    ['Resize', [f32(2, 3), f32(0), scales(1, 2)], { mode: 'cubic' }],
    ['Resize', [f32(2, 3), f32(0), scales(1, 2)], { nearest_mode: 'toString' }],
    [
      'Resize',
      [f32(2, 3), f32(0), scales(1, 2)],
      { coordinate_transformation_mode: 'tf_crop_and_resize' },
    ],
    ['Einsum', [f32(2, 3), f32(4, 5)], { equation: 'ij,jk->ik' }],
    ['Einsum', [f32(2, 3)], { equation: 'ij,jk->ik' }],
    ['Einsum', [f32(2, 3)], { equation: 'ijk->ik' }],
    ['Einsum', [f32(2, 3)], { equation: 'ij->k' }],
    ['Einsum', [f32(2, 3)], { equation: '(ij)->j' }],
    ['Einsum', [f32(2, 3)], {}],
    ['Range', [depth(1), depth(8), depth(0)]],
  ];
  for (const [operator, inputs, attributes] of misfits) {
    const shapes = inputs.map(({ type, shape }) => `${type} ${formatShape(shape)}`).join(' ');
    const given = JSON.stringify(attributes ?? {});
    test(`throws ShapeError for ${operator} of ${shapes} ${given}`, () => {
      assert.throws(() => infer(operator, inputs, attributes), ShapeError);
    });
  }

  test('names operator, node and shapes', () => {
    assert.throws(() => infer('Gemm', [f32(32, 784), f32(256, 10)]), {
      message:
        'Gemm at here: inner sizes must agree, got 784 and 256. Inputs: [32, 784], [256, 10].',
      code: 'SHAPE_MISMATCH',
    });
  });

  test('names the equation of an Einsum that is not taken', () => {
    const refused = (equation: string, ...inputs: ValueType[]): string => {
      try {
        return infer('Einsum', inputs, { equation });
      } catch (error) {
        return (error as Error).message;
      }
    };

    assert.equal(
      refused('ij,jk,kl->il', f32(2, 2), f32(2, 2), f32(2, 2)),
      'Einsum at here: equation "ij,jk,kl->il": expected one or two operands, got 3; multiply two ' +
        'at a time. Inputs: [2, 2], [2, 2], [2, 2].',
    );
    assert.match(
      refused('bii->bi', f32(2, 3, 3)),
      /^Einsum at here: equation "bii->bi": an index stands twice in bii; take its diagonal /,
    );
  });

  test(
    'throws GraphError for wrong numbers of inputs, wrong attributes and shapes that depend on ' +
      'data',
    () => {
      assert.throws(() => infer('Add', [f32(2)]), GraphError);
      assert.throws(() => infer('Relu', [f32(2)], { alpha: 1 }), GraphError);
      assert.throws(() => infer('Softmax', [f32(2)], { axis: 0.5 }), GraphError);
      assert.throws(() => infer('Reshape', [f32(4), typed('int64', 2)]), GraphError);
    },
  );
});
