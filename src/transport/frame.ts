/**
 * The frame: 16 bytes of prefix, a JSON header, a raw payload.
 *
 *   0  magic    u32  "LKST"
 *   4  layout   u8   1
 *   5  kind     u8   0: a frame of the connection's owner
 *                    1: the same, its payload lies in the sender's file (local-payloads.ts);
 *                       the header is { offset, header }
 *                    2: between the two transports, see LinkMessage
 *   6  reserved 2 bytes, zero
 *   8  header   u32  length in bytes
 *  12  payload  u32  length in bytes
 *
 * All integers little-endian. Lengths are checked against the connection's limits before anything is allocated.
 */
import { ProtocolError } from '../base/errors.ts';
import type { FrameLimits } from './connection.ts';

export const FRAME_PREFIX_BYTES = 16;
const MAGIC = 0x54534b4c; // "LKST" read as a little-endian u32
const LAYOUT = 1;
/** No other interface that shares our ports begins with it. */
export const FIRST_FRAME_BYTE: number = MAGIC & 0xff;

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

export const FRAME_KINDS = { inline: 0, local: 1, link: 2 } as const;
export type FrameKind = keyof typeof FRAME_KINDS;

/** Where the sender's file for payloads is to be found on this machine. */
export interface LocalOffer {
  readonly processId: number;
  readonly descriptor: number;
  /** What the file begins with, in hex: who finds it there has found the right file. */
  readonly nonce: string;
}

/** What two transports tell each other about files for payloads. */
export interface LinkMessage {
  readonly offer?: LocalOffer;
  /** Answers an offer. */
  readonly accepted?: boolean;
  /** The payload at this offset has been read. */
  readonly free?: number;
}

/** The prefix and header of a frame with a payload of `payloadBytes`, which follows if the kind is `inline`. */
export function encodeFrameHead(
  header: object,
  payloadBytes: number,
  kind: FrameKind = 'inline',
): Uint8Array {
  const json = encoder.encode(JSON.stringify(header));
  const head = new Uint8Array(FRAME_PREFIX_BYTES + json.length);
  const view = new DataView(head.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint8(4, LAYOUT);
  view.setUint8(5, FRAME_KINDS[kind]);
  view.setUint32(8, json.length, true);
  view.setUint32(12, payloadBytes, true);
  head.set(json, FRAME_PREFIX_BYTES);
  return head;
}

/** What the decoder tells its owner. */
export interface FrameSink {
  limits(): FrameLimits;
  payloadTarget(header: unknown, byteLength: number): Uint8Array | undefined;
  frame(header: unknown, payload: Uint8Array): void;
  /** Fills `target` with what the sender put at `offset` of its file; without it such frames are refused. */
  readLocal?(offset: number, target: Uint8Array): void;
  /** A message between the two transports, not checked yet; ignored without it. */
  link?(message: unknown): void;
}

const NOTHING = new Uint8Array(0);

/**
 * Cuts a byte stream into frames, whatever pieces it arrives in. Payload bytes are copied once, straight to
 * where the owner wants them. Throws ProtocolError at the first byte that is not ours; the stream is then dead.
 */
export class FrameDecoder {
  readonly #sink: FrameSink;
  readonly #prefix = new Uint8Array(FRAME_PREFIX_BYTES);
  #state: 'prefix' | 'header' | 'payload' = 'prefix';
  #kind: number = FRAME_KINDS.inline;
  #filled = 0;
  #isStopped = false;
  #headerBytes = NOTHING;
  #header: unknown;
  #payload: Uint8Array = NOTHING;
  #payloadLength = 0;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** True between frames: the stream may end here without loss. */
  get isBetweenFrames(): boolean {
    return this.#isStopped || (this.#state === 'prefix' && this.#filled === 0);
  }

  /** Ignores whatever comes from now on, also the rest of the piece that is being read. */
  stop(): void {
    this.#isStopped = true;
  }

  push(bytes: Uint8Array): void {
    let offset = 0;
    while (offset < bytes.length && !this.#isStopped) {
      const target = this.#target();
      const count = Math.min(target.length - this.#filled, bytes.length - offset);
      target.set(bytes.subarray(offset, offset + count), this.#filled);
      this.#filled += count;
      offset += count;
      if (this.#filled === target.length) this.#advance();
    }
  }

  #target(): Uint8Array {
    if (this.#state === 'prefix') return this.#prefix;
    return this.#state === 'header' ? this.#headerBytes : this.#payload;
  }

  #advance(): void {
    this.#filled = 0;
    if (this.#state === 'prefix') return this.#readPrefix();
    if (this.#state === 'header') return this.#readHeader();
    this.#deliver();
  }

  #readPrefix(): void {
    const view = new DataView(this.#prefix.buffer);
    if (view.getUint32(0, true) !== MAGIC) {
      throw new ProtocolError(
        'reading a frame: expected a Lockstep frame, got other bytes. Is the other end Lockstep?',
      );
    }
    if (view.getUint8(4) !== LAYOUT) {
      throw new ProtocolError(
        `reading a frame: expected frame layout ${LAYOUT}, got ${view.getUint8(4)}. Update the older end.`,
      );
    }
    this.#kind = view.getUint8(5);
    const headerLength = view.getUint32(8, true);
    this.#payloadLength = view.getUint32(12, true);
    const { maxHeaderBytes, maxPayloadBytes } = this.#sink.limits();
    if (headerLength === 0 || headerLength > maxHeaderBytes) {
      throw new ProtocolError(
        `reading a frame: expected a header of 1 to ${maxHeaderBytes} bytes, got ${headerLength}`,
      );
    }
    if (this.#payloadLength > maxPayloadBytes) {
      throw new ProtocolError(
        `reading a frame: expected a payload of at most ${maxPayloadBytes} bytes, got ${this.#payloadLength}`,
      );
    }
    this.#headerBytes = new Uint8Array(headerLength);
    this.#state = 'header';
  }

  #readHeader(): void {
    this.#header = parseHeader(this.#headerBytes);
    if (this.#kind === FRAME_KINDS.link) return this.#deliverLink();
    if (this.#kind === FRAME_KINDS.local) return this.#deliverLocal();
    if (this.#kind !== FRAME_KINDS.inline)
      throw new ProtocolError(`reading a frame: unknown kind ${this.#kind}`);
    if (this.#payloadLength === 0) return this.#deliver();
    this.#payload = this.#choosePayload();
    this.#state = 'payload';
  }

  #choosePayload(): Uint8Array {
    const target = this.#sink.payloadTarget(this.#header, this.#payloadLength);
    const payload = target?.subarray(0, this.#payloadLength) ?? new Uint8Array(this.#payloadLength);
    if (payload.length !== this.#payloadLength) {
      throw new ProtocolError(
        `reading a frame: expected a payload of at most ${payload.length} bytes here, got ${this.#payloadLength}`,
      );
    }
    return payload;
  }

  #deliverLocal(): void {
    const envelope = this.#header;
    if (!isEnvelope(envelope) || this.#sink.readLocal === undefined)
      throw new ProtocolError('reading a frame: expected where its payload lies');
    this.#header = envelope.header;
    this.#payload = this.#choosePayload();
    this.#sink.readLocal(envelope.offset, this.#payload);
    this.#deliver();
  }

  #deliverLink(): void {
    const message = this.#header;
    this.#state = 'prefix';
    this.#header = undefined;
    this.#sink.link?.(message);
  }

  #deliver(): void {
    const header = this.#header;
    const payload = this.#payload;
    this.#state = 'prefix';
    this.#header = undefined;
    this.#payload = NOTHING;
    this.#sink.frame(header, payload);
  }
}

function parseHeader(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(bytes));
  } catch {
    throw new ProtocolError('reading a frame: expected a JSON header, got other bytes');
  }
}

function isEnvelope(value: unknown): value is { offset: number; header: unknown } {
  return (
    typeof value === 'object' &&
    value !== null &&
    'header' in value &&
    'offset' in value &&
    Number.isSafeInteger(value.offset) &&
    Number(value.offset) >= 0
  );
}
