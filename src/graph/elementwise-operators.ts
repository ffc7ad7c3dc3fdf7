/** Operators that work on elements one by one, with broadcasting. */
import { inputAt, refuse, requireType, type Operator, type OperatorCall } from './operator.ts';
import { broadcastShapes } from './shape.ts';
import { ELEMENT_TYPES, type ElementType, type Shape, type ValueType } from './types.ts';

const NUMBERS: readonly ElementType[] = ['float32', 'int32', 'int64'];
const ALL_TYPES = Object.keys(ELEMENT_TYPES) as readonly ElementType[];

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
function binary(types: readonly ElementType[], result?: ElementType): Operator {
  return {
    arity: [2, 2],
    attributes: {},
    infer: (call) => {
      const type = sameType(call, 0, 1, types);
      return [{ type: result ?? type, shape: broadcastInputs(call) }];
    },
  };
}

function sameType(call: OperatorCall, a: number, b: number, types: readonly ElementType[]): ElementType {
  const type = requireType(call, a, types);
  if (inputAt(call, b).type !== type) {
    refuse(call, `inputs ${a} and ${b} must have one type, got ${type} and ${inputAt(call, b).type}`);
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
  return [{ type: target ?? refuse(call, 'attribute `to` is missing'), shape: inputAt(call, 0).shape }];
}

export const ELEMENTWISE_OPERATORS = {
  Add: binary(NUMBERS),
  Sub: binary(NUMBERS),
  Mul: binary(NUMBERS),
  Div: binary(NUMBERS),
  Equal: binary(ALL_TYPES, 'bool'),
  Greater: binary(NUMBERS, 'bool'),
  Less: binary(NUMBERS, 'bool'),
  Where: { arity: [3, 3], attributes: {}, infer: inferWhere },
  Neg: unary(NUMBERS),
  Sign: unary(NUMBERS),
  Relu: unary(),
  Tanh: unary(),
  Sigmoid: unary(),
  HardSigmoid: unary(['float32'], { alpha: 'float', beta: 'float' }),
  Exp: unary(),
  Log: unary(),
  Sqrt: unary(),
  Identity: unary(ALL_TYPES),
  Cast: { arity: [1, 1], attributes: { to: 'elementType' }, infer: inferCast },
} as const satisfies Readonly<Record<string, Operator>>;
