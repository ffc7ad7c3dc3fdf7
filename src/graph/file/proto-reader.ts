/**
 * Reads the protobuf wire format. The reader trusts nothing: every length is checked against what
 * is left, and nesting is bounded.
 */
import { GraphError } from '../../base/errors.ts';
import { WIRE_TYPES, type WireType } from './proto-writer.ts';

const MAX_DEPTH = 16;
const MAX_FIELD = 0x1fffffff;
const EMPTY = new Uint8Array(0);
/** Making one takes longer than reading a name with it. */
const UTF8 = new TextDecoder('utf-8', { fatal: true });

/**
 * What a field number means to a message; it must read the field's value or leave it to be skipped.
 */
export type FieldHandler = (field: ProtoField) => void;

/** A field of a message as it came: an accessor reads it in its way or refuses its wire type. */
export class ProtoField {
  readonly #where: string;
  readonly #depth: number;
  readonly #wireType: number;
  readonly #varint: bigint;
  readonly #bytes: Uint8Array;

  constructor(where: string, depth: number, wireType: number, varint: bigint, bytes: Uint8Array) {
    this.#where = where;
    this.#depth = depth;
    this.#wireType = wireType;
    this.#varint = varint;
    this.#bytes = bytes;
  }

  /** The field as a signed 64-bit integer. */
  bigint(): bigint {
    this.#expect(WIRE_TYPES.varint);
    return BigInt.asIntN(64, this.#varint);
  }

  /** The field as an integer that a JavaScript number holds exactly. */
  int(): number {
    return this.#safe(this.bigint());
  }

  /** The elements of a repeated integer field: one of them, or a packed list. */
  bigints(): BigInt64Array {
    if (this.#wireType === WIRE_TYPES.varint) return BigInt64Array.of(this.bigint());
    this.#expect(WIRE_TYPES.bytes);
    const cursor = new Cursor(this.#bytes, this.#where);
    // The last byte of a number is below 0x80, the others are not.
    const values = new BigInt64Array(
      this.#bytes.reduce((count, byte) => count + (byte < 0x80 ? 1 : 0), 0),
    );
    for (let i = 0; !cursor.isAtEnd(); i++) values[i] = cursor.varint();
    return values;
  }

  ints(): number[] {
    return Array.from(this.bigints(), (value) => this.#safe(value));
  }

  float(): number {
    this.#expect(WIRE_TYPES.fixed32);
    return readFloat(this.#bytes, 0);
  }

  /** The elements of a repeated float field: one of them, or a packed list. */
  floats(): Float32Array {
    if (this.#wireType !== WIRE_TYPES.fixed32) this.#expect(WIRE_TYPES.bytes);
    if (this.#bytes.length % 4 !== 0)
      throw malformed(this.#where, 'a list of floats ends inside a float');
    // A copy, since the bytes need not be aligned; little-endian, as every machine that we run on.
    return new Float32Array(new Uint8Array(this.#bytes).buffer);
  }

  /** The elements of a repeated double field: one of them, or a packed list. */
  doubles(): Float64Array {
    if (this.#wireType !== WIRE_TYPES.fixed64) this.#expect(WIRE_TYPES.bytes);
    if (this.#bytes.length % 8 !== 0)
      throw malformed(this.#where, 'a list of doubles ends inside a double');
    return new Float64Array(new Uint8Array(this.#bytes).buffer);
  }

  /** A view of the field's bytes. */
  bytes(): Uint8Array {
    this.#expect(WIRE_TYPES.bytes);
    return this.#bytes;
  }

  string(): string {
    try {
      return UTF8.decode(this.bytes());
    } catch (error) {
      if (error instanceof GraphError) throw error;
      throw malformed(this.#where, 'a string is not UTF-8');
    }
  }

  /** Reads the field as a message. */
  message(handlers: Readonly<Record<number, FieldHandler>>): void {
    readFields(this.bytes(), this.#where, this.#depth + 1, handlers);
  }

  #expect(wireType: WireType): void {
    if (this.#wireType === wireType) return;
    throw malformed(this.#where, `expected wire type ${wireType}, got ${this.#wireType}`);
  }

  #safe(value: bigint): number {
    const number = Number(value);
    if (!Number.isSafeInteger(number))
      throw malformed(this.#where, `the integer ${value} is too large`);
    return number;
  }
}

/**
 * Calls the handler of every field of a message, in order; fields without one are skipped.
 *
 * Throws: GraphError when the bytes are not a message.
 */
export function readMessage(
  bytes: Uint8Array,
  what: string,
  handlers: Readonly<Record<number, FieldHandler>>,
): void {
  // Views of a Buffer take several times as long to make.
  const plain = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  readFields(plain, what, 0, handlers);
}

function readFields(
  bytes: Uint8Array,
  where: string,
  depth: number,
  handlers: Readonly<Record<number, FieldHandler>>,
): void {
  if (depth > MAX_DEPTH) throw malformed(where, `messages are nested deeper than ${MAX_DEPTH}`);
  const cursor = new Cursor(bytes, where);
  while (!cursor.isAtEnd()) {
    const key = cursor.varint();
    const field = Number(key >> 3n);
    const inside = `${where}, field ${field}`;
    if (field < 1 || field > MAX_FIELD) throw malformed(inside, 'there is no such field number');
    const wireType = Number(key & 7n);
    const [varint, payload] = readValue(cursor, wireType, inside);
    handlers[field]?.(new ProtoField(inside, depth, wireType, varint, payload));
  }
}

function readValue(cursor: Cursor, wireType: number, where: string): readonly [bigint, Uint8Array] {
  if (wireType === WIRE_TYPES.varint) return [cursor.varint(), EMPTY];
  if (wireType === WIRE_TYPES.bytes) return [0n, cursor.take(cursor.varint())];
  if (wireType === WIRE_TYPES.fixed32) return [0n, cursor.take(4n)];
  if (wireType === WIRE_TYPES.fixed64) return [0n, cursor.take(8n)];
  throw malformed(where, `wire type ${wireType} is not used by ONNX`);
}

class Cursor {
  readonly #bytes: Uint8Array;
  readonly #where: string;
  #at = 0;

  constructor(bytes: Uint8Array, where: string) {
    this.#bytes = bytes;
    this.#where = where;
  }

  isAtEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  varint(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) throw malformed(this.#where, 'the bytes end inside a number');
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw malformed(this.#where, 'a number is longer than ten bytes');
  }

  take(length: bigint): Uint8Array {
    const left = this.#bytes.length - this.#at;
    if (length > BigInt(left))
      throw malformed(this.#where, `expected ${length} bytes, got ${left}`);
    const taken = this.#bytes.subarray(this.#at, this.#at + Number(length));
    this.#at += taken.length;
    return taken;
  }
}

function readFloat(bytes: Uint8Array, offset: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getFloat32(offset, true);
}

function malformed(where: string, reason: string): GraphError {
  return new GraphError(`reading ${where}: ${reason}`, { reason });
}
