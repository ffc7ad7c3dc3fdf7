/**
 * Reads Thrift's binary protocol from a stream that has no frames (buffered transport): only by
 * reading a message is its end found. Nothing is allocated for a length before that length is
 * checked, and a message in all is bounded.
 */
import { ProtocolError } from '../../base/errors.ts';
import {
  MESSAGE_KINDS,
  type MessageKind,
  type ThriftList,
  type ThriftMessage,
  type ThriftStruct,
  type ThriftValue,
  TYPES,
} from './thrift-values.ts';

/** One message in all, nested lists and names included. */
const MAX_MESSAGE_BYTES = 64 << 20;
const MAX_TEXT_BYTES = 64 << 10;
/** Lists of anything but doubles: the rows of a matrix. */
const MAX_LIST_LENGTH = 1 << 16;
const MAX_DEPTH = 8;

const VERSION_1 = 0x8001;

/** Asks for so many bytes at a time; is given a view of them. */
type Reader<T> = Generator<number, T, DataView>;

/**
 * Cuts a byte stream into messages, in whatever pieces it arrives. Throws ProtocolError at bytes
 * that are no message.
 */
export class ThriftDecoder {
  readonly #onMessage: (message: ThriftMessage) => void;
  #reader: Reader<ThriftMessage> = readMessage();
  #wanted: Uint8Array;
  #filled = 0;
  #read = 0;
  #isStopped = false;

  constructor(onMessage: (message: ThriftMessage) => void) {
    this.#onMessage = onMessage;
    this.#wanted = this.#firstPiece();
  }

  /** Ignores whatever comes from now on. */
  stop(): void {
    this.#isStopped = true;
  }

  push(bytes: Uint8Array): void {
    let offset = 0;
    while (offset < bytes.length && !this.#isStopped) {
      const count = Math.min(this.#wanted.length - this.#filled, bytes.length - offset);
      this.#wanted.set(bytes.subarray(offset, offset + count), this.#filled);
      this.#filled += count;
      offset += count;
      if (this.#filled === this.#wanted.length) this.#advance();
    }
  }

  #advance(): void {
    const { buffer, byteOffset, length } = this.#wanted;
    const step = this.#reader.next(new DataView(buffer, byteOffset, length));
    if (step.done === true) {
      this.#reader = readMessage();
      this.#read = 0;
      this.#wanted = this.#firstPiece();
      this.#onMessage(step.value);
    } else this.#wanted = this.#piece(step.value);
  }

  #firstPiece(): Uint8Array {
    const step = this.#reader.next();
    return this.#piece(step.done === true ? 0 : step.value);
  }

  #piece(length: number): Uint8Array {
    this.#read += length;
    if (this.#read > MAX_MESSAGE_BYTES)
      throw new ProtocolError(
        `reading a Thrift message: expected at most ${MAX_MESSAGE_BYTES} bytes, got more`,
      );
    this.#filled = 0;
    return new Uint8Array(length);
  }
}

function* readMessage(): Reader<ThriftMessage> {
  const version = yield 4;
  if (version.getUint16(0) !== VERSION_1)
    throw new ProtocolError(
      'reading a Thrift message: expected the strict binary protocol over the buffered ' +
        'transport, got other bytes',
    );
  const code = version.getUint8(3);
  const kind = Object.entries(MESSAGE_KINDS).find(([, value]) => value === code)?.[0] as
    MessageKind | undefined;
  if (kind === undefined) throw new ProtocolError(`reading a Thrift message: unknown kind ${code}`);
  const name = yield* readText();
  const sequence = (yield 4).getInt32(0);
  return { kind, name, sequence, body: yield* readStruct(0) };
}

function* readText(): Reader<string> {
  const length = yield* readLength(MAX_TEXT_BYTES, 'a text');
  if (length === 0) return '';
  return new TextDecoder().decode(yield length);
}

function* readLength(most: number, what: string): Reader<number> {
  const length = (yield 4).getInt32(0);
  if (length < 0 || length > most)
    throw new ProtocolError(
      `reading a Thrift message: expected ${what} of at most ${most}, got a length of ${length}`,
    );
  return length;
}

function* readStruct(depth: number): Reader<ThriftStruct> {
  const fields = new Map<number, ThriftValue>();
  for (;;) {
    const type = (yield 1).getUint8(0);
    if (type === TYPES.stop) return fields;
    if (fields.size >= MAX_LIST_LENGTH)
      throw new ProtocolError('reading a Thrift message: too many fields');
    const id = (yield 2).getInt16(0);
    fields.set(id, yield* readValue(type, depth + 1));
  }
}

function* readValue(type: number, depth: number): Reader<ThriftValue> {
  if (depth > MAX_DEPTH)
    throw new ProtocolError(`reading a Thrift message: nested deeper than ${MAX_DEPTH} times`);
  switch (type) {
    case TYPES.bool:
      return (yield 1).getUint8(0) !== 0;
    case TYPES.byte:
      return (yield 1).getInt8(0);
    case TYPES.double:
      return (yield 8).getFloat64(0);
    case TYPES.i16:
      return (yield 2).getInt16(0);
    case TYPES.i32:
      return (yield 4).getInt32(0);
    case TYPES.i64:
      return Number((yield 8).getBigInt64(0));
    case TYPES.string:
      return yield* readText();
    case TYPES.struct:
      return yield* readStruct(depth);
    case TYPES.list:
    case TYPES.set:
      return yield* readList(depth);
    default:
      throw new ProtocolError(`reading a Thrift message: type ${type} is not expected here`);
  }
}

function* readList(depth: number): Reader<Float64Array | ThriftList> {
  const type = (yield 1).getUint8(0);
  if (type === TYPES.double) return yield* readDoubles();
  const length = yield* readLength(MAX_LIST_LENGTH, 'a list');
  const list: ThriftValue[] = [];
  for (let i = 0; i < length; i++) list.push(yield* readValue(type, depth + 1));
  return list;
}

function* readDoubles(): Reader<Float64Array> {
  const length = yield* readLength(MAX_MESSAGE_BYTES / 8, 'a list');
  if (length === 0) return new Float64Array(0);
  const bytes = yield length * 8;
  return Float64Array.from({ length }, (_, i) => bytes.getFloat64(i * 8));
}
