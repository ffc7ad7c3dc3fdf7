/**
 * Every operator we know. A new one is one entry in the table of its family, and then a gradient
 * rule: the compiler asks for it.
 */
import { GraphError } from '../../base/errors.ts';
import { CONVOLUTION_OPERATORS } from './convolution-operators.ts';
import { ELEMENTWISE_OPERATORS } from './elementwise-operators.ts';
import { MATRIX_OPERATORS } from './matrix-operators.ts';
import { NORMALIZATION_OPERATORS } from './normalization-operators.ts';
import type { AttributeKind, Operator, OperatorCall } from './operator.ts';
import { REDUCTION_OPERATORS } from './reduction-operators.ts';
import { SELECTION_OPERATORS } from './selection-operators.ts';
import { SHAPE_OPERATORS } from './shape-operators.ts';
import { ELEMENT_TYPES, type AttributeValue, type ValueType } from '../values/types.ts';

/** Rows by ONNX name, put together from the tables of the families. */
export const OPERATORS = {
  ...CONVOLUTION_OPERATORS,
  ...ELEMENTWISE_OPERATORS,
  ...MATRIX_OPERATORS,
  ...NORMALIZATION_OPERATORS,
  ...REDUCTION_OPERATORS,
  ...SELECTION_OPERATORS,
  ...SHAPE_OPERATORS,
} as const satisfies Readonly<Record<string, Operator>>;

/** The ONNX name of an operator that we know. */
export type OperatorName = keyof typeof OPERATORS;

/** Whether we know the operator of this name, which may come from a file. */
export function isOperatorName(name: string): name is OperatorName {
  return Object.hasOwn(OPERATORS, name);
}

/** What the attribute `name` of `operator` must hold; undefined when there is none. */
export function attributeKind(operator: OperatorName, name: string): AttributeKind | undefined {
  const { attributes }: Operator = OPERATORS[operator];
  return Object.hasOwn(attributes, name) ? attributes[name] : undefined;
}

/**
 * Types and shapes of the outputs of one operator application.
 *
 * Throws: ShapeError naming operator, node and input shapes when the inputs do not fit; GraphError
 *         for wrong numbers of inputs, unknown attributes and shapes that depend on values.
 */
export function inferOutputs(
  call: OperatorCall & { readonly operator: OperatorName },
): readonly ValueType[] {
  const { arity, infer }: Operator = OPERATORS[call.operator];
  const [least, greatest] = arity;
  if (call.inputs.length < least || call.inputs.length > greatest) {
    const expected = least === greatest ? `${least}` : `${least} to ${greatest}`;
    throw new GraphError(
      `${call.operator} at ${call.name}: expected ${expected} inputs, got ${call.inputs.length}`,
      { operator: call.operator, node: call.name },
    );
  }
  for (const [name, value] of Object.entries(call.attributes)) {
    const kind = attributeKind(call.operator, name);
    if (kind !== undefined && holds(kind, value)) continue;
    const expected = kind === undefined ? 'no such attribute' : kind;
    throw new GraphError(
      `${call.operator} at ${call.name}: attribute ${name}: expected ${expected}`,
      { operator: call.operator, node: call.name },
    );
  }
  return infer(call);
}

function holds(kind: AttributeKind, value: AttributeValue): boolean {
  if (kind === 'int') return Number.isSafeInteger(value);
  if (kind === 'float') return typeof value === 'number';
  if (kind === 'ints')
    return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item));
  if (kind === 'string') return typeof value === 'string';
  if (kind === 'elementType')
    return typeof value === 'string' && Object.hasOwn(ELEMENT_TYPES, value);
  return typeof value === 'object' && 'data' in value;
}
