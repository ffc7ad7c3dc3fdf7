/** Gradients of operators that pick, put and join elements: back to where they came from. */
import { GraphError } from '../base/errors.ts';
import type { GraphBuilder } from '../graph/builder.ts';
import { numberAttribute, type OperatorCall } from '../graph/operators/operator.ts';
import { sliceRanges } from '../graph/operators/selection-operators.ts';
import { normalizeAxis, staticElementCount } from '../graph/values/shape.ts';
import type { ValueInfo } from '../graph/values/types.ts';
import { expandTo, notDifferentiable, staticShape } from './gradient-rule.ts';
import type { GradientCall, GradientRule, NotDifferentiable } from './gradient-rule.ts';

function shapeOf(call: GradientCall, index: number): readonly number[] {
  return staticShape(call.input(index).shape, call.node.name);
}

function axisOf(call: GradientCall): number {
  return normalizeAxis(numberAttribute(call.node, 'axis', 0), call.input(0).shape.length) ?? 0;
}

function zeros(g: GraphBuilder, shape: readonly number[]): ValueInfo {
  return g.expand(g.scalar(0), shape);
}

/** Axis i of the result is axis order[i] of `value`. */
function permuted(g: GraphBuilder, value: ValueInfo, order: readonly number[]): ValueInfo {
  return order.every((axis, i) => axis === i) ? value : g.transpose(value, order);
}

/** The node as shape inference saw it. */
function operatorCallOf({ g, node }: GradientCall): OperatorCall {
  const inputs = node.inputs.map((name) => {
    if (name === '') return undefined;
    const constant = g.constantOf(g.value(name));
    return { ...g.value(name), ...(constant && { constant }) };
  });
  return { ...node, inputs };
}

/**
 * Where along `axis` the one element lies that a Gather of a constant index takes; undefined for
 * any other Gather.
 */
function onlyIndex(call: GradientCall, size: number): number | undefined {
  const indices = call.g.constantOf(call.input(1));
  return indices?.length === 1 ? normalizeAxis(Number(indices[0]), size) : undefined;
}

/** Y = X at the indices of one axis: dX = zeros, plus the slices of dY at their indices. */
const gatherRule: GradientRule = (call) => [
  () => {
    const { g, input } = call;
    const [shape, axis] = [shapeOf(call, 0), axisOf(call)];
    const size = shape[axis] ?? 1;
    const index = onlyIndex(call, size);
    if (index !== undefined) {
      const slice = g.reshape(call.fullDy(), shape.with(axis, 1));
      return g.pad(slice, padsAround(shape, [[axis, index, size - 1 - index]]));
    }
    const others = shape.toSpliced(axis, 1);
    const indexRank = input(1).shape.length;
    const axes = call.y.shape.map((_, i) => i);
    const indexAxes = axes.splice(axis, indexRank);
    const slices = permuted(g, call.fullDy(), [...indexAxes, ...axes]); // [...indices, ...others]
    const count = staticElementCount(shapeOf(call, 1));
    const rows = g.reshape(slices, [count, staticElementCount(others)]);
    const sums = sumRowsAt(g, rows, g.reshape(input(1), [count]), size); // [size, others]
    const back = others.map((_, i) => i + 1).toSpliced(axis, 0, 0);
    return permuted(g, g.reshape(sums, [size, ...others]), back);
  },
  undefined,
];

/** [size, D]: row i is the sum of the rows of `rows` [N, D] whose entry in `indices` [N] is i. */
function sumRowsAt(g: GraphBuilder, rows: ValueInfo, indices: ValueInfo, size: number): ValueInfo {
  const [, width = 1] = staticShape(rows.shape, rows.name);
  return g.scatterAddND(zeros(g, [size, width]), g.unsqueeze(g.cast(indices, 'int64'), [1]), rows);
}

/** Pads of a Pad operator: for each [axis, before, after] that is named, elsewhere none. */
function padsAround(
  shape: readonly number[],
  pads: readonly (readonly [axis: number, before: number, after: number])[],
): number[] {
  const [before, after] = [shape.map(() => 0), shape.map(() => 0)];
  for (const [axis, left, right] of pads) {
    before[axis] = left;
    after[axis] = right;
  }
  return [...before, ...after];
}

/** Y = every step-th element of X: dX = dY with zeros between and around. */
const sliceRule: GradientRule = (call) => [
  () => {
    const { g } = call;
    const shape = shapeOf(call, 0);
    let gradient = call.fullDy();
    const pads: [number, number, number][] = [];
    for (const { axis, start, step, count } of sliceRanges(operatorCallOf(call))) {
      if (step < 0) gradient = reversed(g, gradient, axis);
      const first = step < 0 ? start + step * (count - 1) : start;
      const spread = count * Math.abs(step);
      gradient = withZerosBetween(g, gradient, axis, Math.abs(step));
      pads.push([axis, first, (shape[axis] ?? 1) - first - spread]);
    }
    return g.pad(gradient, padsAround(shape, pads));
  },
];

function reversed(g: GraphBuilder, value: ValueInfo, axis: number): ValueInfo {
  return g.slice(value, { axes: [axis], starts: [-1], ends: [-(2 ** 31)], steps: [-1] });
}

/** Each element along `axis` followed by step - 1 zeros. */
function withZerosBetween(
  g: GraphBuilder,
  value: ValueInfo,
  axis: number,
  step: number,
): ValueInfo {
  if (step === 1) return value;
  const shape = staticShape(value.shape, value.name);
  const apart = g.unsqueeze(value, [axis + 1]);
  const padded = g.pad(
    apart,
    padsAround(shape.toSpliced(axis + 1, 0, 1), [[axis + 1, 0, step - 1]]),
  );
  return g.reshape(padded, shape.with(axis, (shape[axis] ?? 1) * step));
}

/** Y = the inputs side by side: each gets its stretch of dY. */
const concatRule: GradientRule = (call) => {
  const axis = axisOf(call);
  let end = 0;
  return call.node.inputs.map((_, i) => {
    const start = end;
    end += shapeOf(call, i)[axis] ?? 1;
    const range = { axes: [axis], starts: [start], ends: [end] };
    return () => call.g.slice(call.fullDy(), range);
  });
};

/**
 * The outputs are stretches of X: dX = their gradients side by side, zeros for those that the loss
 * does not use.
 */
const splitRule: GradientRule = ({ g, node, dys, input }) => [
  () => {
    const parts = node.outputs.map((name, i) => {
      const shape = staticShape(g.value(name).shape, node.name);
      return expandTo(g, dys[i] ?? g.scalar(0), shape);
    });
    return g.concat(
      parts,
      normalizeAxis(numberAttribute(node, 'axis', 0), input(0).shape.length) ?? 0,
    );
  },
];

/** What a scatter does to its data: `add` to them or, by default, write over them. */
function isAddition({ node }: GradientCall): boolean {
  const reduction = node.attributes['reduction'] ?? 'none';
  if (reduction === 'add') return true;
  if (reduction === 'none') return false;
  throw new GraphError(
    `differentiating ${node.operator} at ${node.name}: expected the reduction none or add, ` +
      `got ${JSON.stringify(reduction)}`,
    { operator: node.operator, node: node.name },
  );
}

/**
 * Y = X, with the updates at the indices: dX = dY, 0
 * where X was written over; dUpdates = dY at the indices.
 */
function scatterRule(pick: (call: GradientCall) => ValueInfo): GradientRule {
  return (call) => {
    const { g, node, input } = call;
    const isAdded = isAddition(call);
    const overwritten = (): ValueInfo =>
      g.apply(
        node.operator,
        [call.fullDy(), input(1), zeros(g, shapeOf(call, 2))],
        node.attributes,
      );
    return [() => (isAdded ? call.dy : overwritten()), undefined, () => pick(call)];
  };
}

/** Gradient rules of operators that pick, put and join elements. */
export const SELECTION_RULES = {
  Gather: gatherRule,

  // Y = X at the indices: dX = zeros, plus dY at the indices
  GatherND: (call) => [
    () => call.g.scatterAddND(zeros(call.g, shapeOf(call, 0)), call.input(1), call.fullDy()),
    undefined,
  ],
  GatherElements: (call) => [
    () =>
      call.g.scatterAdd(
        zeros(call.g, shapeOf(call, 0)),
        call.input(1),
        call.fullDy(),
        axisOf(call),
      ),
    undefined,
  ],

  ScatterND: scatterRule((call) => call.g.apply('GatherND', [call.fullDy(), call.input(1)])),
  ScatterElements: scatterRule((call) =>
    call.g.gatherElements(call.fullDy(), call.input(1), axisOf(call)),
  ),

  OneHot: notDifferentiable('its output jumps with its index'),
  Concat: concatRule,
  Split: splitRule,
  Slice: sliceRule,

  // Y = the triangle of X: dX = the triangle of dY
  Trilu: (call) => {
    const k = call.node.inputs[1] ? [call.input(1)] : [];
    return [() => call.g.apply('Trilu', [call.fullDy(), ...k], call.node.attributes)];
  },
} as const satisfies Readonly<Record<string, GradientRule | NotDifferentiable>>;
