/**
 * Gradients of matrix products. Transposition is an attribute of Gemm, so a product of matrices
 * costs one node per gradient and no Transpose.
 */
import type { GemmOptions, GraphBuilder } from '../graph/builder.ts';
import { numberAttribute } from '../graph/operators/operator.ts';
import { einsumEquationOf } from '../graph/operators/einsum.ts';
import type { ValueInfo } from '../graph/values/types.ts';
import { callOf } from './conv-signature.ts';
import type { GradientCall, GradientRule } from './gradient-rule.ts';
import { expandTo, staticShape, times, undoBroadcast } from './gradient-rule.ts';

/** Gemm with its attributes as they stand in the node. */
function gemmOptions({ node }: GradientCall): Required<GemmOptions> {
  return {
    alpha: numberAttribute(node, 'alpha', 1),
    beta: numberAttribute(node, 'beta', 1),
    transA: numberAttribute(node, 'transA', 0) !== 0,
    transB: numberAttribute(node, 'transB', 0) !== 0,
  };
}

/**
 * Y = alpha A' B' + beta C, where A' is A or its transpose, and B' likewise:
 *   dA = alpha dY B'^T, or its transpose alpha B' dY^T
 *   dB = alpha A'^T dY, or its transpose alpha dY^T A'
 *   dC = beta dY, summed over the axes along which C was broadcast
 */
const gemmRule: GradientRule = (call) => {
  const { g, y, input } = call;
  const { alpha, beta, transA, transB } = gemmOptions(call);
  return [
    () =>
      transA
        ? g.gemm(input(1), call.fullDy(), undefined, { alpha, transA: transB, transB: true })
        : g.gemm(call.fullDy(), input(1), undefined, { alpha, transB: !transB }),
    () =>
      transB
        ? g.gemm(call.fullDy(), input(0), undefined, { alpha, transA: true, transB: transA })
        : g.gemm(input(0), call.fullDy(), undefined, { alpha, transA: !transA }),
    () => undoBroadcast(g, times(g, g.scalar(beta), call.dy), y.shape, input(2).shape),
  ];
};

/**
 * Y = A B: dA = dY B^T, dB = A^T dY. Vectors are matrices with one row or column; leading axes are
 * batches, over which an operand that has none (a weight) is summed: one Gemm over all rows.
 */
const matMulRule: GradientRule = (call) => {
  const { g, input } = call;
  const [a, b] = [input(0), input(1)];
  const isVectorA = a.shape.length === 1;
  const isVectorB = b.shape.length === 1;
  const rows = (value: ValueInfo): ValueInfo => (isVectorA ? withAxis(g, value, 0) : value);
  const columns = (value: ValueInfo): ValueInfo => (isVectorB ? withAxis(g, value, -1) : value);
  const matrixDy = (): ValueInfo => {
    const dy = columns(call.fullDy());
    return isVectorA ? withAxis(g, dy, -2) : dy;
  };
  return [
    () => fitTo(g, timesTransposed(g, matrixDy(), columns(b)), rows(a), a),
    () => fitTo(g, transposedTimes(g, rows(a), matrixDy(), columns(b).shape.length), columns(b), b),
  ];
};

/** A B^T over the last two axes. */
function timesTransposed(g: GraphBuilder, a: ValueInfo, b: ValueInfo): ValueInfo {
  const isMatrices = a.shape.length === 2 && b.shape.length === 2;
  return isMatrices ? g.gemm(a, b, undefined, { transB: true }) : g.matMul(a, swapLastAxes(g, b));
}

/** A^T B over the last two axes; summed over all leading axes when a result of rank 2 is wanted. */
function transposedTimes(g: GraphBuilder, a: ValueInfo, b: ValueInfo, rank: number): ValueInfo {
  if (rank === 2) return g.gemm(asMatrix(g, a), asMatrix(g, b), undefined, { transA: true });
  return g.matMul(swapLastAxes(g, a), b);
}

function asMatrix(g: GraphBuilder, value: ValueInfo): ValueInfo {
  if (value.shape.length === 2) return value;
  return g.reshape(value, [-1, ...staticShape(value.shape.slice(-1), value.name)]);
}

function swapLastAxes(g: GraphBuilder, value: ValueInfo): ValueInfo {
  const axes = value.shape.map((_, axis) => axis);
  return g.transpose(value, [...axes.slice(0, -2), ...axes.slice(-2).reverse()]);
}

function withAxis(g: GraphBuilder, value: ValueInfo, axis: number): ValueInfo {
  return g.unsqueeze(value, [axis]);
}

/** Sums a gradient over broadcast batches to the shape of `promoted`, reshaped as `original`. */
function fitTo(
  g: GraphBuilder,
  gradient: ValueInfo,
  promoted: ValueInfo,
  original: ValueInfo,
): ValueInfo {
  const summed = undoBroadcast(g, gradient, gradient.shape, promoted.shape);
  if (promoted === original) return summed;
  return g.reshape(summed, staticShape(original.shape, original.name));
}

/**
 * Y[r] = sum of A[a] B[b] over the indices that r has not: dA[a] = sum of dY[r] B[b] over those
 * that a has not, repeated along indices that only A has; dB likewise, and with one operand B is 1.
 */
const einsumRule: GradientRule = (call) => {
  const { g, node, input } = call;
  const { operands, result } = einsumEquationOf(callOf(g, node));
  const sum = (inputs: readonly ValueInfo[], terms: readonly string[], kept: string): ValueInfo =>
    g.apply('Einsum', inputs, { equation: `${terms.join(',')}->${kept}` });
  return operands.map((own, index) => () => {
    const shape = staticShape(input(index).shape, node.name);
    const others = operands.map((term, at) => ({ term, at })).filter(({ at }) => at !== index);
    const terms = others.map(({ term }) => term);
    const inputs = others.map(({ at }) => input(at));
    const kept = own
      .split('')
      .filter((letter) => [result, ...terms].join('').includes(letter))
      .join('');
    const isScalar = result === '';
    const product =
      isScalar && terms.length > 0
        ? g.mul(sum(inputs, terms, kept), call.fullDy())
        : isScalar
          ? call.fullDy()
          : sum([call.fullDy(), ...inputs], [result, ...terms], kept);
    const sizes = shape.map((size, axis) => (kept.includes(own[axis] ?? '') ? size : 1));
    return expandTo(g, kept === own ? product : g.reshape(product, sizes), shape);
  });
};

/** Gradient rules of matrix products. */
export const MATRIX_RULES = {
  Gemm: gemmRule,
  MatMul: matMulRule,
  Einsum: einsumRule,
} as const satisfies Readonly<Record<string, GradientRule>>;
