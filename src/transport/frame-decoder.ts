/** Frames as they arrive (frame.ts tells what they are made of). */
import { crc32 } from 'node:zlib';
import { ProtocolError } from '../base/errors.ts';
import type { FrameLimits } from './connection.ts';
import {
  FIRST_FRAME_BYTE,
  FRAME_KINDS,
  FRAME_PREFIX_BYTES,
  HEADER_CRC,
  LAYOUT,
  MAGIC,
  PAYLOAD_CRC,
  PREFIX_CRC,
} from './frame.ts';

const decoder = new TextDecoder('utf-8', { fatal: true });

/** What the decoder tells its owner. */
export interface FrameSink {
  limits(): FrameLimits;
  payloadTarget(header: unknown, byteLength: number): Uint8Array | undefined;
  frame(header: unknown, payload: Uint8Array): void;
  /** Fills `target` from `offset` of the sender's file; without it such frames are refused. */
  readLocal?(offset: number, target: Uint8Array): void;
  /** A message between the two transports, not checked yet; ignored without it. */
  link?(message: unknown): void;
}

const NOTHING = new Uint8Array(0);

/**
 * Cuts a byte stream into frames, whatever pieces it arrives in. Payload bytes are copied once,
 * straight to where the owner wants them. Throws ProtocolError at the first byte that is not ours;
 * the stream is then dead.
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
  #headerCrc = 0;
  #payloadCrc = 0;
  /** Checksum of what has arrived of the header or payload under way. */
  #crc = 0;
  #isKnown = false;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** Whether a good prefix has come: the other end is ours, and odd bytes are damaged ones. */
  get isKnown(): boolean {
    return this.#isKnown;
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
      const piece = bytes.subarray(offset, offset + count);
      target.set(piece, this.#filled);
      if (this.#state !== 'prefix') this.#crc = crc32(piece, this.#crc);
      // A stranger is told apart by its first byte: it may never send a whole prefix.
      else if (!this.#isKnown && target[0] !== FIRST_FRAME_BYTE) throw notOurs();
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
    const crc = this.#crc;
    this.#crc = 0;
    if (this.#state === 'header') {
      checkCrc('header', this.#headerCrc, crc);
      return this.#readHeader();
    }
    checkCrc('payload', this.#payloadCrc, crc);
    this.#deliver();
  }

  #readPrefix(): void {
    const view = new DataView(this.#prefix.buffer);
    const prefixCrc = crc32(this.#prefix.subarray(0, PREFIX_CRC));
    if (this.#isKnown) checkCrc('prefix', view.getUint32(PREFIX_CRC, true), prefixCrc);
    if (view.getUint32(0, true) !== MAGIC) throw notOurs();
    if (view.getUint8(4) !== LAYOUT) {
      throw new ProtocolError(
        `reading a frame: expected frame layout ${LAYOUT}, got ${view.getUint8(4)}. Update ` +
          'the older end.',
      );
    }
    checkCrc('prefix', view.getUint32(PREFIX_CRC, true), prefixCrc);
    this.#isKnown = true;
    this.#kind = view.getUint8(5);
    this.#headerCrc = view.getUint32(HEADER_CRC, true);
    this.#payloadCrc = view.getUint32(PAYLOAD_CRC, true);
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
        `reading a frame: expected a payload of at most ${maxPayloadBytes} bytes, got ` +
          `${this.#payloadLength}`,
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
        `reading a frame: expected a payload of at most ${payload.length} bytes here, got ` +
          `${this.#payloadLength}`,
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

function notOurs(): ProtocolError {
  return new ProtocolError(
    'reading a frame: expected a Lockstep frame, got other bytes. Is the other end Lockstep?',
  );
}

function checkCrc(part: 'prefix' | 'header' | 'payload', sent: number, arrived: number): void {
  if (sent === arrived) return;
  const hex = (crc: number): string => crc.toString(16).padStart(8, '0');
  throw new ProtocolError(
    `reading a frame: it was damaged on its way: expected a ${part} with CRC-32 ${hex(sent)}, ` +
      `got ${hex(arrived)}`,
  );
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
