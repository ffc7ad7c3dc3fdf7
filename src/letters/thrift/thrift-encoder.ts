/** Writes Thrift's binary protocol; values say their types themselves. */
import { MESSAGE_KINDS, type MessageKind, TYPES } from './thrift-values.ts';

const encoder = new TextEncoder();

/** A value with its Thrift type. */
export type Typed =
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'i32' | 'double'; readonly value: number }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'matrix'; readonly value: readonly Float64Array[] }
  | { readonly type: 'struct'; readonly value: Fields };

/** Values by field number. */
export type Fields = Readonly<Record<number, Typed>>;

/** One message as bytes; see ThriftMessage for `fields`. */
export function encodeThrift(
  kind: MessageKind,
  name: string,
  sequence: number,
  fields: Fields,
): Uint8Array {
  const writer = new Writer();
  writer.uint16(0x8001);
  writer.byte(0);
  writer.byte(MESSAGE_KINDS[kind]);
  writer.text(name);
  writer.int32(sequence);
  writeFields(writer, fields);
  return writer.bytes();
}

function writeFields(writer: Writer, fields: Fields): void {
  for (const [id, field] of Object.entries(fields)) {
    writer.byte(field.type === 'matrix' ? TYPES.list : TYPES[field.type]);
    writer.uint16(Number(id));
    writeValue(writer, field);
  }
  writer.byte(TYPES.stop);
}

function writeValue(writer: Writer, field: Typed): void {
  switch (field.type) {
    case 'bool':
      return writer.byte(field.value ? 1 : 0);
    case 'i32':
      return writer.int32(field.value);
    case 'double':
      return writer.double(field.value);
    case 'string':
      return writer.text(field.value);
    case 'struct':
      return writeFields(writer, field.value);
    case 'matrix':
      return writeMatrix(writer, field.value);
    default:
      field satisfies never;
  }
}

/** list<list<double>> */
function writeMatrix(writer: Writer, rows: readonly Float64Array[]): void {
  writer.byte(TYPES.list);
  writer.int32(rows.length);
  for (const row of rows) {
    writer.byte(TYPES.double);
    writer.int32(row.length);
    for (const value of row) writer.double(value);
  }
}

class Writer {
  #buffer = new Uint8Array(1024);
  #view = new DataView(this.#buffer.buffer);
  #length = 0;

  byte(value: number): void {
    const at = this.#advance(1);
    this.#view.setUint8(at, value);
  }

  uint16(value: number): void {
    const at = this.#advance(2);
    this.#view.setUint16(at, value);
  }

  int32(value: number): void {
    const at = this.#advance(4);
    this.#view.setInt32(at, value);
  }

  double(value: number): void {
    const at = this.#advance(8);
    this.#view.setFloat64(at, value);
  }

  text(value: string): void {
    const bytes = encoder.encode(value);
    this.int32(bytes.length);
    const at = this.#advance(bytes.length);
    this.#buffer.set(bytes, at);
  }

  bytes(): Uint8Array {
    return this.#buffer.slice(0, this.#length);
  }

  #advance(count: number): number {
    const at = this.#length;
    this.#length += count;
    if (this.#length > this.#buffer.length) {
      const larger = new Uint8Array(Math.max(2 * this.#buffer.length, this.#length));
      larger.set(this.#buffer);
      this.#buffer = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }
}
