/** Gradients of operators on elements. `undo` sums over axes along which an input was broadcast. */
import type { GraphBuilder } from '../graph/builder.ts';
import type { ValueInfo } from '../graph/values/types.ts';
import { negated, notDifferentiable, scalarOf, times, unary, undo } from './gradient-rule.ts';
import type { GradientRule, NotDifferentiable } from './gradient-rule.ts';

/** [a] as 0 or 1. */
function indicator(g: GraphBuilder, condition: ValueInfo): ValueInfo {
  return g.cast(condition, 'float32');
}

/** `gradient` where `condition` holds, elsewhere 0. */
function onlyWhere(g: GraphBuilder, condition: ValueInfo, gradient: ValueInfo): ValueInfo {
  return g.where(condition, gradient, g.scalar(0));
}

/** Y is the least or greatest of the inputs: dX = dY * [X = Y] / (number of inputs that are Y). */
const extremeRule: GradientRule = (call) => {
  const { g, y, node, input } = call;
  if (node.inputs.length === 1) return [() => call.dy];
  // Drawn when the first gradient asks for it, and then shared.
  let shares: ValueInfo[] | undefined;
  const sharesOfInputs = (): ValueInfo[] => {
    const isExtreme = node.inputs.map((_, i) => indicator(g, g.equal(input(i), y)));
    const ties = isExtreme.reduce((sum, one) => g.add(sum, one));
    return isExtreme.map((one) => g.div(one, ties));
  };
  return node.inputs.map((_, i) => () => {
    shares ??= sharesOfInputs();
    return undo(call, i, times(g, call.dy, shares[i] ?? y));
  });
};

/** X ^ (c - 1) * c for a constant exponent c; the usual ones without a Pow. */
function slopeOfPower(g: GraphBuilder, x: ValueInfo, y: ValueInfo, exponent: number): ValueInfo {
  if (exponent === 0) return g.scalar(0);
  if (exponent === 0.5) return g.div(g.scalar(0.5), y);
  const power = exponent === 2 ? x : exponent === 3 ? g.mul(x, x) : g.pow(x, exponent - 1);
  return times(g, g.scalar(exponent), exponent === 1 ? g.scalar(1) : power);
}

/** Y = X^E: dX = dY E X^(E - 1), 0 where E = 0; dE = dY Y log X, 0 where X = 0, as in PyTorch. */
const powRule: GradientRule = (call) => {
  const { g, y, dy, input } = call;
  const exponent = (): ValueInfo => g.cast(input(1), 'float32');
  return [
    () => {
      const known = scalarOf(g, input(1));
      if (known !== undefined)
        return undo(call, 0, times(g, dy, slopeOfPower(g, input(0), y, known)));
      const slope = g.mul(exponent(), g.pow(input(0), g.sub(exponent(), g.scalar(1))));
      const isFlat = g.equal(exponent(), g.scalar(0));
      return undo(call, 0, times(g, dy, g.where(isFlat, g.scalar(0), slope)));
    },
    () => {
      const isZero = g.equal(input(0), g.scalar(0));
      const logarithm = g.log(g.where(isZero, g.scalar(1), input(0)));
      return undo(call, 1, times(g, dy, g.mul(y, logarithm)));
    },
  ];
};

/** min <= X <= max: dX = dY where Y = X; each bound gets what was cut off at it. */
const clipRule: GradientRule = ({ g, y, dy, input, fullDy }) => [
  () => onlyWhere(g, g.equal(input(0), y), dy),
  () => g.reduceSum(onlyWhere(g, g.less(input(0), input(1)), fullDy())),
  () => g.reduceSum(onlyWhere(g, g.greater(input(0), input(2)), fullDy())),
];

const isComparison = notDifferentiable('its output is true or false');

// Steps are flat almost everywhere: nothing flows back.
const isStep: GradientRule = () => [undefined];

/** Gradient rules of operators on elements; inputs may have been broadcast. */
export const ELEMENTWISE_RULES = {
  // dA = dY, dB = dY
  Add: (call) => [() => undo(call, 0, call.dy), () => undo(call, 1, call.dy)],

  // dA = dY, dB = -dY
  Sub: (call) => [() => undo(call, 0, call.dy), () => negated(call.g, undo(call, 1, call.dy))],

  // dA = dY * B, dB = dY * A
  Mul: (call) => [
    () => undo(call, 0, times(call.g, call.dy, call.input(1))),
    () => undo(call, 1, times(call.g, call.dy, call.input(0))),
  ],

  // dA = dY / B, dB = -dY * Y / B
  Div: (call) => [
    () => undo(call, 0, call.g.div(call.dy, call.input(1))),
    () => undo(call, 1, negated(call.g, call.g.div(times(call.g, call.dy, call.y), call.input(1)))),
  ],

  Mod: notDifferentiable('it counts and jumps'),

  Pow: powRule,
  Min: extremeRule,
  Max: extremeRule,

  // dXi = dY
  Sum: (call) => call.node.inputs.map((_, i) => () => undo(call, i, call.dy)),

  Equal: isComparison,
  Greater: isComparison,
  GreaterOrEqual: isComparison,
  Less: isComparison,
  LessOrEqual: isComparison,
  And: isComparison,
  Or: isComparison,
  Xor: isComparison,
  Not: isComparison,

  // Y = C ? A : B: dA = C ? dY : 0, dB = C ? 0 : dY
  Where: (call) => [
    undefined,
    () => undo(call, 1, onlyWhere(call.g, call.input(0), call.dy)),
    () => undo(call, 2, call.g.where(call.input(0), call.g.scalar(0), call.dy)),
  ],

  Clip: clipRule,

  // dX = -dY
  Neg: unary(({ g, dy }) => negated(g, dy)),

  // dX = dY * sign(X)
  Abs: unary(({ g, dy, input }) => times(g, dy, g.sign(input(0)))),

  Sign: isStep,
  Floor: isStep,
  Ceil: isStep,
  Round: isStep,

  // dX = -dY * Y^2
  Reciprocal: unary(({ g, y, dy }) => negated(g, times(g, dy, g.mul(y, y)))),

  // dX = dY * Y
  Exp: unary(({ g, y, dy }) => times(g, dy, y)),

  // dX = dY / X
  Log: unary(({ g, dy, input }) => g.div(dy, input(0))),

  // dX = dY / (2 Y)
  Sqrt: unary(({ g, y, dy }) => g.div(times(g, dy, g.scalar(0.5)), y)),

  // dX = dY * 2 / sqrt(pi) * e^(-X^2)
  Erf: unary(({ g, dy, input }) => {
    const bell = g.exp(g.neg(g.mul(input(0), input(0))));
    return times(g, dy, g.mul(bell, g.scalar(2 / Math.sqrt(Math.PI))));
  }),

  // dX = dY * cos X
  Sin: unary(({ g, dy, input }) => times(g, dy, g.cos(input(0)))),

  // dX = -dY * sin X
  Cos: unary(({ g, dy, input }) => negated(g, times(g, dy, g.sin(input(0))))),

  // dX = dY
  Identity: unary(({ dy }) => dy),

  // dX = dY: at inference, the only form that we run, nothing is dropped.
  Dropout: (call) => [() => call.dy, undefined, undefined],

  // dX = dY: only a cast from float32 to float32 is ever on the way back.
  Cast: unary(({ dy }) => dy),
} as const satisfies Readonly<Record<string, GradientRule | NotDifferentiable>>;
