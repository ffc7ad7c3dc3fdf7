/** Operators that work on elements one by one, with broadcasting. */
import { inputAt, refuse, requireType, type Operator, type OperatorCall } from './operator.ts';
import { broadcastShapes } from '../values/shape.ts';
import { ELEMENT_TYPES, type ElementType, type Shape, type ValueType } from '../values/types.ts';

const NUMBERS: readonly ElementType[] = ['float32', 'int32', 'int64'];
const ALL_TYPES = Object.keys(ELEMENT_TYPES) as readonly ElementType[];
const ANY_COUNT = 2 ** 16;

/** y = f(x): type and shape stay. */
function unary(
  types: readonly ElementType[] = ['float32'],
  attributes: Operator['attributes'] = {},
): Operator {
  return {
    arity: [1, 1],
    attributes,
    infer: (call) => [{ type: requireType(call, 0, types), shape: inputAt(call, 0).shape }],
  };
}

/** z = f(x, y) of one type, broadcast; `result` is the type of z when it is not that of x. */
function binary(
  types: readonly ElementType[],
  result?: ElementType,
  attributes: Operator['attributes'] = {},
): Operator {
  return {
    arity: [2, 2],
    attributes,
    infer: (call) => {
      const type = sameType(call, 0, 1, types);
      return [{ type: result ?? type, shape: broadcastInputs(call) }];
    },
  };
}

/** z = f(x1, x2, ...) of one type, broadcast, of one input or more. */
function variadic(types: readonly ElementType[]): Operator {
  return {
    arity: [1, ANY_COUNT],
    attributes: {},
    infer: (call) => {
      call.inputs.forEach((_, index) => sameType(call, 0, index, types));
      return [{ type: requireType(call, 0, types), shape: broadcastInputs(call) }];
    },
  };
}

function sameType(
  call: OperatorCall,
  a: number,
  b: number,
  types: readonly ElementType[],
): ElementType {
  const type = requireType(call, a, types);
  if (inputAt(call, b).type !== type) {
    refuse(
      call,
      `inputs ${a} and ${b} must have one type, got ${type} and ${inputAt(call, b).type}`,
    );
  }
  return type;
}

function broadcastInputs(call: OperatorCall): Shape {
  return call.inputs.reduce<Shape>(
    (shape, input) =>
      broadcastShapes(shape, input?.shape ?? []) ?? refuse(call, 'the shapes do not broadcast'),
    [],
  );
}

function inferWhere(call: OperatorCall): readonly ValueType[] {
  requireType(call, 0, ['bool']);
  return [{ type: sameType(call, 1, 2, ALL_TYPES), shape: broadcastInputs(call) }];
}

function inferCast(call: OperatorCall): readonly ValueType[] {
  const target = ALL_TYPES.find((type) => type === call.attributes['to']);
  return [
    { type: target ?? refuse(call, 'attribute `to` is missing'), shape: inputAt(call, 0).shape },
  ];
}

/** The exponent may be of another type than the base. */
function inferPow(call: OperatorCall): readonly ValueType[] {
  requireType(call, 1, NUMBERS);
  return [{ type: requireType(call, 0, NUMBERS), shape: broadcastInputs(call) }];
}

/** The bounds are single numbers; either may be absent. */
function inferClip(call: OperatorCall): readonly ValueType[] {
  const type = requireType(call, 0, NUMBERS);
  for (const index of [1, 2]) {
    const bound = call.inputs[index];
    const fits = bound === undefined || (bound.type === type && bound.shape.length === 0);
    if (!fits) refuse(call, `input ${index} must be one ${type} number without axes`);
  }
  return [{ type, shape: inputAt(call, 0).shape }];
}

/** The slope broadcasts to x, not the other way round. */
function inferPRelu(call: OperatorCall): readonly ValueType[] {
  const type = sameType(call, 0, 1, ['float32']);
  const { shape } = inputAt(call, 0);
  if (broadcastInputs(call).join() !== shape.join())
    refuse(call, 'the slope does not broadcast to the input');
  return [{ type, shape }];
}

/** Output and mask. At inference, which is the only form that we run, nothing is dropped. */
function inferDropout(call: OperatorCall): readonly ValueType[] {
  const { shape } = inputAt(call, 0);
  if (call.inputs[1] !== undefined) requireType(call, 1, ['float32']);
  if (call.inputs[2] !== undefined) requireType(call, 2, ['bool']);
  return [
    { type: requireType(call, 0, ['float32']), shape },
    { type: 'bool', shape },
  ];
}

/** Operators on elements, with NumPy broadcasting where they take several inputs. */
export const ELEMENTWISE_OPERATORS = {
  Add: binary(NUMBERS),
  Sub: binary(NUMBERS),
  Mul: binary(NUMBERS),
  Div: binary(NUMBERS),
  Mod: binary(NUMBERS, undefined, { fmod: 'int' }),
  Pow: { arity: [2, 2], attributes: {}, infer: inferPow },
  Min: variadic(NUMBERS),
  Max: variadic(NUMBERS),
  Sum: variadic(['float32']),
  Equal: binary(ALL_TYPES, 'bool'),
  Greater: binary(NUMBERS, 'bool'),
  GreaterOrEqual: binary(NUMBERS, 'bool'),
  Less: binary(NUMBERS, 'bool'),
  LessOrEqual: binary(NUMBERS, 'bool'),
  And: binary(['bool']),
  Or: binary(['bool']),
  Xor: binary(['bool']),
  Not: unary(['bool']),
  Where: { arity: [3, 3], attributes: {}, infer: inferWhere },
  Clip: { arity: [1, 3], attributes: {}, infer: inferClip },
  Neg: unary(NUMBERS),
  Abs: unary(NUMBERS),
  Sign: unary(NUMBERS),
  Floor: unary(),
  Ceil: unary(),
  Round: unary(),
  Reciprocal: unary(),
  Exp: unary(),
  Log: unary(),
  Sqrt: unary(),
  Erf: unary(),
  Sin: unary(),
  Cos: unary(),
  Relu: unary(),
  LeakyRelu: unary(['float32'], { alpha: 'float' }),
  PRelu: { arity: [2, 2], attributes: {}, infer: inferPRelu },
  Elu: unary(['float32'], { alpha: 'float' }),
  Celu: unary(['float32'], { alpha: 'float' }),
  Selu: unary(['float32'], { alpha: 'float', gamma: 'float' }),
  Softplus: unary(),
  Softsign: unary(),
  Tanh: unary(),
  Sigmoid: unary(),
  HardSigmoid: unary(['float32'], { alpha: 'float', beta: 'float' }),
  HardSwish: unary(),
  Identity: unary(ALL_TYPES),
  Dropout: { arity: [1, 3], attributes: { seed: 'int' }, infer: inferDropout },
  Cast: { arity: [1, 1], attributes: { to: 'elementType' }, infer: inferCast },
} as const satisfies Readonly<Record<string, Operator>>;
