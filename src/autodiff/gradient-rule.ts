/** What a gradient rule is, and the few constructions that rules share. */
import { GraphError } from '../base/errors.ts';
import type { GraphBuilder } from '../graph/builder.ts';
import {
  broadcastAxes,
  formatShape,
  isSameShape,
  isStatic,
  staticElementCount,
} from '../graph/values/shape.ts';
import type { GraphNode } from '../graph/types.ts';
import type { Shape, ValueInfo } from '../graph/values/types.ts';
import type { ConvFormChooser } from './conv-forms.ts';

/**
 * One node on the way back from the loss.
 *
 * `dy` is the gradient of the node's output Y. It may be smaller than Y: then it stands for itself
 * broadcast to Y's shape, so that a sum or a mean costs no Expand. Elementwise rules use it as it
 * is, through `times`; a rule that needs every element asks for `fullDy()`.
 */
export interface GradientCall {
  /** The graph that gradients are drawn into. */
  readonly g: GraphBuilder;
  readonly node: GraphNode;
  /** The first output, and its gradient. */
  readonly y: ValueInfo;
  readonly dy: ValueInfo;
  /**
   * Gradients of all outputs, Y's first, of operators that have several; undefined where the loss
   * does not depend on one.
   */
  readonly dys: readonly (ValueInfo | undefined)[];
  readonly input: (index: number) => ValueInfo;
  /** `dy` with every element of Y's shape written out. */
  readonly fullDy: () => ValueInfo;
  /** Chooses among the forms of a convolution's gradients. */
  readonly chooseForm: ConvFormChooser;
}

/** Gives the gradients of a node's inputs, in order; only those that are needed are called. */
export type GradientRule = (call: GradientCall) => readonly ((() => ValueInfo) | undefined)[];

/** An operator through which no gradient passes, and why. */
export interface NotDifferentiable {
  readonly reason: string;
}

/** The entry of an operator through which no gradient passes; `reason` ends up in a message. */
export function notDifferentiable(reason: string): NotDifferentiable {
  return { reason };
}

/** The rule of y = f(x): one gradient, of the shape of x. */
export function unary(rule: (call: GradientCall) => ValueInfo): GradientRule {
  return (call) => [() => rule(call)];
}

/** The gradient of input `index`, given the gradient of that input as it was broadcast. */
export function undo({ g, y, input }: GradientCall, index: number, gradient: ValueInfo): ValueInfo {
  return undoBroadcast(g, gradient, y.shape, input(index).shape);
}

/** a * b, without a node when one of them is the constant 1. */
export function times(g: GraphBuilder, a: ValueInfo, b: ValueInfo): ValueInfo {
  const [left, right] = [scalarOf(g, a), scalarOf(g, b)];
  if (left !== undefined && right !== undefined) return g.scalar(left * right);
  if (left === 1) return b;
  if (right === 1) return a;
  if (left === -1) return g.neg(b);
  return right === -1 ? g.neg(a) : g.mul(a, b);
}

/** -a, folded when a is constant. */
export function negated(g: GraphBuilder, a: ValueInfo): ValueInfo {
  return times(g, g.scalar(-1), a);
}

/**
 * The gradient of a value of shape `to` that was broadcast to shape `from`, where `gradient` is the
 * gradient of the broadcast value: the sum over the axes along which the value was repeated.
 */
export function undoBroadcast(
  g: GraphBuilder,
  gradient: ValueInfo,
  from: Shape,
  to: Shape,
): ValueInfo {
  if (isSameShape(from, to)) return gradient;
  const axes = broadcastAxes(to, from);
  const full = expandTo(g, gradient, from);
  const summed = axes.length === 0 ? full : sumOverAxes(g, full, axes);
  return isSameShape(summed.shape, to)
    ? summed
    : g.reshape(summed, staticShape(to, 'a broadcast value'));
}

/**
 * The sum over `axes`, which vanish.
 *
 * Over the first axes it is a product with ones: 1.5 to 7 times ReduceSum's speed ([8, 128, 256]
 * over axis 0: 48 against 255 us; one core of an AMD EPYC, onnxruntime-node 1.30). Over the last
 * ones ReduceSum is the faster one.
 */
export function sumOverAxes(g: GraphBuilder, value: ValueInfo, axes: readonly number[]): ValueInfo {
  const rest = value.shape.slice(axes.length);
  const areFirst = axes.every((axis, i) => axis === i) && rest.length > 0;
  if (!areFirst || !isStatic(value.shape)) return g.reduceSum(value, { axes });
  const rows = staticElementCount(value.shape.slice(0, axes.length));
  const columns = staticElementCount(value.shape.slice(axes.length));
  const matrix = value.shape.length === 2 ? value : g.reshape(value, [rows, columns]);
  const sums = g.matMul(onesOf(g, rows), matrix);
  return rest.length === 1 ? sums : g.reshape(sums, value.shape.slice(axes.length));
}

/** Ones, [count]. Many of them are made when the graph is loaded: the file stays small. */
function onesOf(g: GraphBuilder, count: number): ValueInfo {
  if (count > 1024) return g.expand(g.scalar(1), [count]);
  return g.constant('float32', [count], Array<number>(count).fill(1));
}

/** `value` with every element of `shape` written out. */
export function expandTo(g: GraphBuilder, value: ValueInfo, shape: Shape): ValueInfo {
  return isSameShape(value.shape, shape) ? value : g.expand(value, staticShape(shape, value.name));
}

/** The shape, when no dimension is symbolic: gradients are taken for one fixed micro-batch size. */
export function staticShape(shape: Shape, what: string): readonly number[] {
  if (isStatic(shape)) return shape;
  throw new GraphError(
    `differentiating ${what}: expected sizes, got the symbolic shape ${formatShape(shape)}`,
  );
}

/** The number a value holds when it is a constant of one element without axes. */
export function scalarOf(g: GraphBuilder, value: ValueInfo): number | undefined {
  const data = value.shape.length === 0 ? g.constantOf(value) : undefined;
  return data?.[0] === undefined ? undefined : Number(data[0]);
}
