/**
 * The server's side of a connection that speaks Thrift: one call after the other, as Thrift's own
 * servers answer them.
 */
import type { Clock, Timer } from '../../base/clock.ts';
import { messageOf, ProtocolError } from '../../base/errors.ts';
import type { ByteStream } from '../../transport/byte-stream.ts';
import type { MemoryBudget } from '../../transport/memory-budget.ts';
import { SilenceWatch } from '../../transport/silence-watch.ts';
import { encodeException } from './seed-interface.ts';
import { ThriftDecoder } from './thrift-decoder.ts';
import type { ThriftMessage } from './thrift-values.ts';

/** Milliseconds within which the first call begins, and in which something of a call must come. */
export const CALL_MS = 10_000;
/** Milliseconds that a connection may be idle between two calls. */
export const IDLE_MS = 300_000;
/** Calls after which a connection is closed. */
export const MAX_CALLS = 10_000;
/** A caller that has left so much of the last answer unread may not call again. */
const MAX_UNREAD_BYTES = 64 << 10;

/** What the calls of all connections at a door share. */
export interface CallSurroundings {
  readonly clock: Clock;
  /** Memory for calls, from their first byte to their answer. */
  readonly budget: MemoryBudget;
}

/** Gives the answer to a call; `signal` tells that nobody waits for it any more. */
export type Answer = (call: ThriftMessage, signal: AbortSignal) => Promise<Uint8Array>;

/** Answers calls until the stream ends; an answer that fails becomes an exception of Thrift. */
export function serveCalls(stream: ByteStream, answer: Answer, around: CallSurroundings): void {
  void new CallSession(stream, answer, around);
}

class CallSession {
  readonly #stream: ByteStream;
  readonly #answer: Answer;
  readonly #clock: Clock;
  readonly #decoder: ThriftDecoder;
  /** Of the call that is being answered. */
  #current: AbortController | undefined;
  #calls = 0;
  #bytes = 0;
  /** Waits for a call: that it begins, or that it goes on. Absent while one is answered. */
  #deadline: Timer | SilenceWatch | undefined;

  constructor(stream: ByteStream, answer: Answer, { clock, budget }: CallSurroundings) {
    this.#stream = stream;
    this.#answer = answer;
    this.#clock = clock;
    this.#decoder = new ThriftDecoder((call) => this.#take(call), budget);
    this.#awaitCall(CALL_MS);
    stream.handlers = { onBytes: (bytes) => this.#read(bytes), onClose: () => this.#end() };
  }

  #read(bytes: Uint8Array): void {
    if (this.#current !== undefined || this.#stream.queuedBytes > MAX_UNREAD_BYTES)
      throw new ProtocolError('a call came before the answer to the last one was read');
    this.#bytes += bytes.length;
    this.#decoder.push(bytes);
    if (this.#decoder.isBetweenMessages) return;
    if (this.#current !== undefined) throw new ProtocolError('expected one call at a time');
    if (!(this.#deadline instanceof SilenceWatch)) this.#awaitRest();
  }

  #take(call: ThriftMessage): void {
    if (call.kind !== 'call')
      throw new ProtocolError(`expected a call, got a message of kind ${call.kind}`);
    if (this.#current !== undefined) throw new ProtocolError('expected one call at a time');
    this.#stopWaiting();
    this.#calls++;
    const current = new AbortController();
    this.#current = current;
    const answer = this.#answer(call, current.signal);
    void answer
      .catch((error: unknown) => exceptionOf(call, error))
      .then((bytes) => this.#reply(bytes, current));
  }

  #reply(bytes: Uint8Array, current: AbortController): void {
    if (current.signal.aborted) return;
    this.#current = undefined;
    this.#decoder.release();
    this.#stream.write(bytes);
    if (this.#calls >= MAX_CALLS) this.#stream.close();
    else this.#awaitCall(IDLE_MS);
  }

  #awaitCall(withinMs: number): void {
    this.#deadline = this.#clock.after(withinMs, () => this.#stream.destroy());
  }

  #awaitRest(): void {
    this.#stopWaiting();
    this.#deadline = new SilenceWatch(this.#clock, {
      limitMs: CALL_MS,
      onSilent: () => this.#stream.destroy(),
      bytes: () => this.#bytes,
    });
  }

  #stopWaiting(): void {
    if (this.#deadline instanceof SilenceWatch) this.#deadline.stop();
    else this.#deadline?.cancel();
    this.#deadline = undefined;
  }

  #end(): void {
    this.#stopWaiting();
    this.#decoder.stop();
    this.#current?.abort();
  }
}

function exceptionOf(call: ThriftMessage, error: unknown): Uint8Array {
  const kind = error instanceof ProtocolError ? 'protocolError' : 'internalError';
  return encodeException(call, kind, messageOf(error));
}
