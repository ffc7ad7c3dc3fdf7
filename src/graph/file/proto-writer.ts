/** Writes the protobuf wire format: as much of it as ONNX needs, without generated code. */

/** How the value of a field is laid out. */
export const WIRE_TYPES = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;
/** The number of a layout, as it stands in the key of a field. */
export type WireType = (typeof WIRE_TYPES)[keyof typeof WIRE_TYPES];

/** Most messages are short: a node, an attribute. */
const FIRST_BYTES = 64;
/** Values at least this long are not copied into the message before it is finished. */
const LONG_BYTES = 4096;

const utf8 = new TextEncoder();

/** Writes fields in the order of the calls; the same calls give the same bytes. */
export class ProtoWriter {
  /** What comes before the bytes that are being filled. */
  readonly #parts: Uint8Array[] = [];
  #partsLength = 0;
  #bytes = new Uint8Array(FIRST_BYTES);
  #length = 0;

  /** An integer field (int32, int64, enum); negative ones take ten bytes. */
  int(field: number, value: number): void {
    this.#key(field, WIRE_TYPES.varint);
    this.#varint(value);
  }

  /** A float field: four bytes, little-endian. */
  float(field: number, value: number): void {
    this.#key(field, WIRE_TYPES.fixed32);
    this.#reserve(4);
    new DataView(this.#bytes.buffer).setFloat32(this.#length, value, true);
    this.#length += 4;
  }

  /** A double field: eight bytes, little-endian. */
  double(field: number, value: number): void {
    this.#key(field, WIRE_TYPES.fixed64);
    this.#reserve(8);
    new DataView(this.#bytes.buffer).setFloat64(this.#length, value, true);
    this.#length += 8;
  }

  string(field: number, value: string): void {
    this.bytes(field, utf8.encode(value));
  }

  /** A field of bytes, which must not change before the message is finished. */
  bytes(field: number, value: Uint8Array): void {
    this.#key(field, WIRE_TYPES.bytes);
    this.#varint(value.length);
    this.#append(value);
  }

  /** A nested message, written by `write`. */
  message(field: number, write: (inner: ProtoWriter) => void): void {
    const inner = new ProtoWriter();
    write(inner);
    this.#key(field, WIRE_TYPES.bytes);
    this.#varint(inner.length);
    for (const part of inner.parts()) this.#append(part);
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#partsLength + this.#length;
  }

  /** Everything written, in pieces, the long ones views of what was given. */
  parts(): readonly Uint8Array[] {
    return [...this.#parts, this.#bytes.subarray(0, this.#length)];
  }

  /** A copy of everything written. */
  finish(): Uint8Array {
    const whole = new Uint8Array(this.length);
    let offset = 0;
    for (const part of this.parts()) {
      whole.set(part, offset);
      offset += part.length;
    }
    return whole;
  }

  #append(value: Uint8Array): void {
    if (value.length >= LONG_BYTES) {
      this.#parts.push(this.#bytes.subarray(0, this.#length), value);
      this.#partsLength += this.#length + value.length;
      this.#bytes = new Uint8Array(FIRST_BYTES);
      this.#length = 0;
      return;
    }
    this.#reserve(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
  }

  #key(field: number, wireType: WireType): void {
    this.#varint(field * 8 + wireType);
  }

  #varint(value: number): void {
    this.#reserve(10);
    let rest = BigInt.asUintN(64, BigInt(value));
    while (rest > 0x7fn) {
      this.#bytes[this.#length++] = Number(rest & 0x7fn) | 0x80;
      rest >>= 7n;
    }
    this.#bytes[this.#length++] = Number(rest);
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + count));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}
