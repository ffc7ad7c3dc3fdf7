/**
 * Reads Thrift's binary protocol from a stream that has no frames (buffered transport): only by
 * reading a message is its end found. Nothing is allocated for a length before that length is
 * checked and its bytes have come, and a message is bounded: its bytes, its depth, the number of
 * its values, and the memory that they take once decoded.
 */
import { ProtocolError } from '../../base/errors.ts';
import type { MemoryBudget } from '../../transport/memory-budget.ts';
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
/** A message is read in pieces of at most so many bytes. */
const MAX_PIECE_BYTES: number = 64 << 10;
const MAX_TEXT_BYTES: number = MAX_PIECE_BYTES;
const MAX_NAME_BYTES = 256;
/** Lists of anything but doubles: the rows of a matrix. */
const MAX_LIST_LENGTH = 1 << 17;
const MAX_DEPTH = 8;
/** Values of every kind in one message, also those in fields that nobody reads. */
const MAX_VALUES: number = 1 << 18;
/** One message once it is decoded. */
const MAX_DECODED_BYTES = 128 << 20;
/** What a value takes at least, and what a map or a typed array takes before its contents. */
const VALUE_BYTES = 32;
const CONTAINER_BYTES = 256;
/** Doubles are waited for in pieces: memory is taken as they come. */
const DOUBLES_PER_PIECE: number = MAX_PIECE_BYTES / 8;

const VERSION_1 = 0x8001;
/** Version and kind, with which a message begins. */
const FIRST_PIECE_BYTES = 4;

const decoder = new TextDecoder();

/** Asks for so many bytes at a time; is given a view that begins with them, to be read at once. */
type Reader<T> = Generator<number, T, DataView>;

/** What the message under way has cost so far. */
class Cost {
  readonly #budget: MemoryBudget | undefined;
  #values = 0;
  #bytes = 0;

  constructor(budget: MemoryBudget | undefined) {
    this.#budget = budget;
  }

  /** Counts one value that takes so many bytes. Throws: ProtocolError beyond the bounds. */
  add(bytes: number): void {
    if (++this.#values > MAX_VALUES)
      throw new ProtocolError(
        `reading a Thrift message: expected at most ${MAX_VALUES} values, got more`,
      );
    if (this.#bytes + bytes > MAX_DECODED_BYTES)
      throw new ProtocolError(
        `reading a Thrift message: expected at most ${MAX_DECODED_BYTES} bytes once decoded, ` +
          'got more',
      );
    this.#budget?.take(bytes);
    this.#bytes += bytes;
  }

  /** The message is gone. */
  clear(): void {
    this.#budget?.giveBack(this.#bytes);
    this.#bytes = 0;
    this.#values = 0;
  }
}

/**
 * Cuts a byte stream into messages, in whatever pieces it arrives. Throws ProtocolError at bytes
 * that are no message. What a message takes is taken from `budget`, if there is one, until `release`
 * or the next message.
 */
export class ThriftDecoder {
  readonly #onMessage: (message: ThriftMessage) => void;
  readonly #cost: Cost;
  readonly #piece = new Uint8Array(MAX_PIECE_BYTES);
  readonly #view = new DataView(this.#piece.buffer);
  #reader: Reader<ThriftMessage>;
  #wanted = 0;
  #filled = 0;
  #read = 0;
  #isStopped = false;

  constructor(onMessage: (message: ThriftMessage) => void, budget?: MemoryBudget) {
    this.#onMessage = onMessage;
    this.#cost = new Cost(budget);
    this.#reader = this.#begin();
  }

  /** True between messages: nothing of the next one has come. */
  get isBetweenMessages(): boolean {
    return this.#filled === 0 && this.#read === FIRST_PIECE_BYTES;
  }

  /** Ignores whatever comes from now on. */
  stop(): void {
    this.#isStopped = true;
    this.release();
  }

  /** Gives back the memory of the last message, and of what has come of the next one. */
  release(): void {
    this.#cost.clear();
  }

  push(bytes: Uint8Array): void {
    let offset = 0;
    while (offset < bytes.length && !this.#isStopped) {
      const count = Math.min(this.#wanted - this.#filled, bytes.length - offset);
      this.#piece.set(bytes.subarray(offset, offset + count), this.#filled);
      this.#filled += count;
      offset += count;
      if (this.#filled === this.#wanted) this.#advance();
    }
  }

  #begin(): Reader<ThriftMessage> {
    const reader = readMessage(this.#cost);
    this.#read = 0;
    this.#want(reader.next());
    return reader;
  }

  #advance(): void {
    if (this.#read === FIRST_PIECE_BYTES) this.release();
    const step = this.#reader.next(this.#view);
    if (step.done !== true) return this.#want(step);
    this.#reader = this.#begin();
    this.#onMessage(step.value);
  }

  #want({ value }: IteratorResult<number, unknown>): void {
    this.#wanted = Number(value);
    this.#read += this.#wanted;
    this.#filled = 0;
    if (this.#read > MAX_MESSAGE_BYTES)
      throw new ProtocolError(
        `reading a Thrift message: expected at most ${MAX_MESSAGE_BYTES} bytes, got more`,
      );
  }
}

function* readMessage(cost: Cost): Reader<ThriftMessage> {
  const version = yield FIRST_PIECE_BYTES;
  if (version.getUint16(0) !== VERSION_1)
    throw new ProtocolError(
      'reading a Thrift message: expected the strict binary protocol over the buffered ' +
        'transport, got other bytes',
    );
  const code = version.getUint8(3);
  const kind = Object.entries(MESSAGE_KINDS).find(([, value]) => value === code)?.[0] as
    MessageKind | undefined;
  if (kind === undefined) throw new ProtocolError(`reading a Thrift message: unknown kind ${code}`);
  const name = yield* readText(MAX_NAME_BYTES, cost);
  const sequence = (yield 4).getInt32(0);
  return { kind, name, sequence, body: yield* readStruct(0, cost) };
}

function* readText(mostBytes: number, cost: Cost): Reader<string> {
  const length = yield* readLength(mostBytes, 'a text');
  cost.add(VALUE_BYTES + 2 * length);
  if (length === 0) return '';
  const { buffer } = yield length;
  return decoder.decode(new Uint8Array(buffer, 0, length));
}

function* readLength(most: number, what: string): Reader<number> {
  const length = (yield 4).getInt32(0);
  if (length < 0 || length > most)
    throw new ProtocolError(
      `reading a Thrift message: expected ${what} of at most ${most}, got a length of ${length}`,
    );
  return length;
}

function* readStruct(depth: number, cost: Cost): Reader<ThriftStruct> {
  cost.add(CONTAINER_BYTES);
  const fields = new Map<number, ThriftValue>();
  for (;;) {
    const type = (yield 1).getUint8(0);
    if (type === TYPES.stop) return fields;
    const id = (yield 2).getInt16(0);
    cost.add(VALUE_BYTES);
    fields.set(id, yield* readValue(type, depth + 1, cost));
  }
}

function* readValue(type: number, depth: number, cost: Cost): Reader<ThriftValue> {
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
      return yield* readText(MAX_TEXT_BYTES, cost);
    case TYPES.struct:
      return yield* readStruct(depth, cost);
    case TYPES.list:
    case TYPES.set:
      return yield* readList(depth, cost);
    default:
      throw new ProtocolError(`reading a Thrift message: type ${type} is not expected here`);
  }
}

function* readList(depth: number, cost: Cost): Reader<Float64Array | ThriftList> {
  const type = (yield 1).getUint8(0);
  cost.add(CONTAINER_BYTES);
  if (type === TYPES.double) return yield* readDoubles(cost);
  const length = yield* readLength(MAX_LIST_LENGTH, 'a list');
  const list: ThriftValue[] = [];
  for (let i = 0; i < length; i++) {
    cost.add(VALUE_BYTES);
    list.push(yield* readValue(type, depth + 1, cost));
  }
  return list;
}

function* readDoubles(cost: Cost): Reader<Float64Array> {
  const length = yield* readLength(MAX_MESSAGE_BYTES / 8, 'a list');
  const pieces: Float64Array[] = [];
  for (let at = 0; at < length; at += DOUBLES_PER_PIECE) {
    const piece = new Float64Array(Math.min(DOUBLES_PER_PIECE, length - at));
    const bytes = yield piece.byteLength;
    cost.add(piece.byteLength);
    for (let i = 0; i < piece.length; i++) piece[i] = bytes.getFloat64(i * 8);
    pieces.push(piece);
  }
  return pieces[1] === undefined ? (pieces[0] ?? new Float64Array(0)) : joined(pieces, length);
}

function joined(pieces: readonly Float64Array[], length: number): Float64Array {
  const all = new Float64Array(length);
  for (const [i, piece] of pieces.entries()) all.set(piece, i * DOUBLES_PER_PIECE);
  return all;
}
