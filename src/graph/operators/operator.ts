/** What an operator is to us, and the small vocabulary in which the operator tables are written. */
import { GraphError, ShapeError } from '../../base/errors.ts';
import { formatShape, normalizeAxis } from '../values/shape.ts';
import type { Attributes, ElementType, Shape, TensorData, ValueType } from '../values/types.ts';

/** What an attribute holds. `elementType` is written as the ONNX number and read as our name. */
export type AttributeKind = 'int' | 'float' | 'ints' | 'string' | 'elementType' | 'tensor';

/** An input as shape inference sees it; `constant` is there when the value is an initializer. */
export interface OperatorInput extends ValueType {
  readonly constant?: TensorData;
}

/** One application of an operator, before its outputs are known. */
export interface OperatorCall {
  readonly operator: string;
  readonly name: string;
  readonly inputs: readonly (OperatorInput | undefined)[];
  readonly attributes: Attributes;
  /** How many outputs the node names; 1 when absent. */
  readonly outputCount?: number;
}

/** One row of the operator table: an operator of the standard ONNX domain at opset 17. */
export interface Operator {
  /** Least and greatest number of inputs. */
  readonly arity: readonly [least: number, greatest: number];
  readonly attributes: Readonly<Record<string, AttributeKind>>;
  /** Types and shapes of the outputs. Throws ShapeError when the inputs do not fit. */
  readonly infer: (call: OperatorCall) => readonly ValueType[];
}

/** Refuses a call: names the operator, the node and the shapes of all inputs. */
export function refuse(call: OperatorCall, reason: string): never {
  const shapes = call.inputs.map((input) => (input ? formatShape(input.shape) : 'absent'));
  throw new ShapeError(
    `${call.operator} at ${call.name}: ${reason}. Inputs: ${shapes.join(', ')}.`,
    { operator: call.operator, node: call.name, shapes },
  );
}

/** The input at `index`. Throws ShapeError when it is absent. */
export function inputAt(call: OperatorCall, index: number): OperatorInput {
  return call.inputs[index] ?? refuse(call, `input ${index} is missing`);
}

/** Checks that an input has one of `types`, and returns its type. */
export function requireType(
  call: OperatorCall,
  index: number,
  types: readonly ElementType[],
): ElementType {
  const { type } = inputAt(call, index);
  if (!types.includes(type))
    refuse(call, `input ${index} must be ${types.join(' or ')}, got ${type}`);
  return type;
}

/** The attribute `name` as a number, of kind `int` or `float`; `absent` when the node has none. */
export function numberAttribute(
  call: Pick<OperatorCall, 'attributes'>,
  name: string,
  absent: number,
): number {
  const value = call.attributes[name];
  return typeof value === 'number' ? value : absent;
}

/** The attribute `name` as text; `absent` when the node does not have it. */
export function stringAttribute(
  call: Pick<OperatorCall, 'attributes'>,
  name: string,
  absent: string,
): string {
  const value = call.attributes[name];
  return typeof value === 'string' ? value : absent;
}

/** The attribute `name` as a list of integers; undefined when the node does not have it. */
export function intsAttribute(
  call: Pick<OperatorCall, 'attributes'>,
  name: string,
): readonly number[] | undefined {
  const value = call.attributes[name];
  return isNumbers(value) ? value : undefined;
}

/** The attribute `axis` as an index into `shape`. */
export function axisAttribute(call: OperatorCall, shape: Shape, absent: number): number {
  return resolveAxis(call, numberAttribute(call, 'axis', absent), shape.length);
}

/** The axis as an index below `rank`, negative ones from the end. Throws ShapeError if outside. */
export function resolveAxis(call: OperatorCall, axis: number, rank: number): number {
  return normalizeAxis(axis, rank) ?? refuse(call, `axis ${axis} is outside rank ${rank}`);
}

/** Axes as sorted distinct indices below `rank`. */
export function resolveAxes(call: OperatorCall, axes: readonly number[], rank: number): number[] {
  const resolved = axes.map((axis) => resolveAxis(call, axis, rank)).sort((a, b) => a - b);
  if (new Set(resolved).size !== resolved.length)
    refuse(call, `axes ${axes.join(', ')} name one axis twice`);
  return resolved;
}

/** Integers that shape inference needs (axes, a target shape); undefined for an absent input. */
export function constantInts(call: OperatorCall, index: number): readonly number[] | undefined {
  const input = call.inputs[index];
  if (input === undefined) return undefined;
  if (input.constant === undefined) {
    throw new GraphError(
      `${call.operator} at ${call.name}: input ${index} decides the shape, so it must be a ` +
        'constant',
      { operator: call.operator, node: call.name },
    );
  }
  if (input.shape.length > 1) refuse(call, `input ${index} must be a list of integers`);
  return Array.from(input.constant, Number);
}

function isNumbers(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'number');
}
