/** Operators that multiply matrices. */
import { inferEinsum } from './einsum.ts';
import {
  inputAt,
  numberAttribute,
  refuse,
  requireType,
  type Operator,
  type OperatorCall,
} from './operator.ts';
import { broadcastShapes, isSameShape } from '../values/shape.ts';
import type { Dimension, Shape, ValueType } from '../values/types.ts';

/** Y = alpha A' B' + beta C; A' [M, K] is A or, with transA, its transpose; B' [K, N] likewise. */
function inferGemm(call: OperatorCall): readonly ValueType[] {
  call.inputs.forEach((_, index) => requireType(call, index, ['float32']));
  const [m, k] = matrixInput(call, 0, numberAttribute(call, 'transA', 0) !== 0);
  const [kOfB, n] = matrixInput(call, 1, numberAttribute(call, 'transB', 0) !== 0);
  if (k !== kOfB) refuse(call, `inner sizes must agree, got ${k} and ${kOfB}`);
  const bias = call.inputs[2];
  const fits = bias === undefined || isSameShape(broadcastShapes(bias.shape, [m, n]) ?? [], [m, n]);
  if (!fits) refuse(call, `the third input does not broadcast to [${m}, ${n}]`);
  return [{ type: 'float32', shape: [m, n] }];
}

function matrixInput(
  call: OperatorCall,
  index: number,
  isTransposed: boolean,
): readonly [Dimension, Dimension] {
  const [rows, columns, ...rest] = inputAt(call, index).shape;
  if (rows === undefined || columns === undefined || rest.length > 0) {
    return refuse(call, `input ${index} must have rank 2`);
  }
  return isTransposed ? [columns, rows] : [rows, columns];
}

/** As numpy.matmul: [..., M, K] x [..., K, N], leading dimensions broadcast, vectors promoted. */
function inferMatMul(call: OperatorCall): readonly ValueType[] {
  requireType(call, 0, ['float32']);
  requireType(call, 1, ['float32']);
  const a = inputAt(call, 0).shape;
  const b = inputAt(call, 1).shape;
  if (a.length === 0 || b.length === 0) refuse(call, 'inputs must have rank 1 or more');
  const inner = a.at(-1);
  const innerOfB = b.length === 1 ? b[0] : b.at(-2);
  if (inner !== innerOfB) refuse(call, `inner sizes must agree, got ${inner} and ${innerOfB}`);
  const leading =
    broadcastShapes(a.slice(0, -2), b.slice(0, -2)) ??
    refuse(call, 'leading sizes do not broadcast');
  const rows: Shape = a.slice(0, -1).slice(-1);
  const columns: Shape = b.length === 1 ? [] : b.slice(-1);
  return [{ type: 'float32', shape: [...leading, ...rows, ...columns] }];
}

/** Operators that multiply matrices. */
export const MATRIX_OPERATORS = {
  Gemm: {
    arity: [2, 3],
    attributes: { alpha: 'float', beta: 'float', transA: 'int', transB: 'int' },
    infer: inferGemm,
  },
  MatMul: { arity: [2, 2], attributes: {}, infer: inferMatMul },
  Einsum: { arity: [1, Infinity], attributes: { equation: 'string' }, infer: inferEinsum },
} as const satisfies Readonly<Record<string, Operator>>;
