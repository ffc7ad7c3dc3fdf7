/**
 * Thrift's values as plain data.
 *
 * A struct is a map from field number to value; a list of doubles is a Float64Array, any other list
 * is an array.
 *
 * Source: the Thrift binary protocol specification of Apache (strict messages).
 */
import { ProtocolError } from '../../base/errors.ts';

/** Any value; what type a number had on the wire is not kept. */
export type ThriftValue = boolean | number | string | Float64Array | ThriftList | ThriftStruct;
/** A list whose elements are not doubles. */
export type ThriftList = readonly ThriftValue[];
/** The fields of a struct by their numbers. */
export type ThriftStruct = ReadonlyMap<number, ThriftValue>;

/** Numbers of the kinds of messages on the wire. */
export const MESSAGE_KINDS = { call: 1, reply: 2, exception: 3, oneway: 4 } as const;
/** The kind of a message, in words. */
export type MessageKind = keyof typeof MESSAGE_KINDS;

/** A call of a method, or the answer to it. */
export interface ThriftMessage {
  readonly kind: MessageKind;
  readonly name: string;
  /** The answer has the number of the call. */
  readonly sequence: number;
  /** The arguments; or the result as field 0; or the fields of an exception. */
  readonly body: ThriftStruct;
}

/** The numbers of types on the wire. */
export const TYPES = {
  stop: 0,
  bool: 2,
  byte: 3,
  double: 4,
  i16: 6,
  i32: 8,
  i64: 10,
  string: 11,
  struct: 12,
  map: 13,
  set: 14,
  list: 15,
} as const;

/** The reasons of TApplicationException that we give. */
export const EXCEPTIONS = { unknownMethod: 1, internalError: 6, protocolError: 7 } as const;

/** The field of a struct, of the type that `is` checks. Throws: ProtocolError naming `what`. */
export function thriftField<T extends ThriftValue>(
  struct: ThriftStruct,
  id: number,
  what: string,
  is: (value: ThriftValue) => value is T,
): T {
  const value = struct.get(id);
  if (value !== undefined && is(value)) return value;
  throw new ProtocolError(
    `reading a Thrift message: expected ${what} as field ${id}, got ` +
      (value === undefined ? 'nothing' : 'another type'),
  );
}

/** Whether a value is of any of the numeric types. */
export const isNumber = (value: ThriftValue): value is number => typeof value === 'number';
/** Whether a value is a string. */
export const isText = (value: ThriftValue): value is string => typeof value === 'string';
/** Whether a value is a bool. */
export const isBoolean = (value: ThriftValue): value is boolean => typeof value === 'boolean';
/** Whether a value is a struct. */
export const isStruct = (value: ThriftValue): value is ThriftStruct => value instanceof Map;
