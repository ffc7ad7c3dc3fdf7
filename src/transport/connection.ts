import type { LockstepError } from '../base/errors.ts';

/** What a connection may carry. Checked before anything is allocated. */
export interface FrameLimits {
  readonly maxHeaderBytes: number;
  readonly maxPayloadBytes: number;
}

/** What a stranger may send before it has introduced itself: a short header, no payload. */
export const GREETING_LIMITS: FrameLimits = { maxHeaderBytes: 4 << 10, maxPayloadBytes: 0 };

/** Who is told what arrives. Handlers run one at a time, in order of arrival. */
export interface ConnectionHandlers {
  /**
   * One whole frame: a JSON header and raw bytes (empty when it has none).
   * The payload's memory is the receiver's, unless `payloadTarget` gave it.
   */
  onFrame(header: unknown, payload: Uint8Array): void;
  /**
   * The end, told exactly once, also after our own `close`. `error` is absent after an orderly end.
   */
  onClose(error?: LockstepError): void;
  /** Gives memory for the payload announced by `header`; undefined: it gets some of its own. */
  payloadTarget?(header: unknown, byteLength: number): Uint8Array | undefined;
}

/** A payload for several connections, so that a transport stores and checks it only once. */
export class Broadcast {
  readonly bytes: Uint8Array;
  /** A note of the transport on where it has stored the bytes. */
  place: unknown;
  /** CRC-32 of the bytes, once computed. */
  checksum: number | undefined;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }
}

/**
 * An ordered, reliable channel of frames to one peer. Two connections
 * to the same peer are not ordered against each other. Sending never
 * blocks; what is not on its way yet shows in `queuedBytes`.
 */
export interface Connection {
  /** The other end in words, for messages. */
  readonly peer: string;
  /** The address of this machine that it uses; undefined where machines have none. */
  readonly localHost?: string;
  /** Under which name the other end's key is known here; undefined if it came without one. */
  readonly identity?: string | undefined;
  /** Bytes that its two ends have in common with nobody; undefined where it is not encrypted. */
  readonly binding?: Uint8Array | undefined;
  /** Zero once all that was sent is on its way; falls with every byte that goes. */
  readonly queuedBytes: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** Both ends count alike: what the other has not received is on its way, or lost. */
  readonly framesSent: number;
  readonly framesReceived: number;
  /** Bytes of payloads that came through memory of this machine; `bytesReceived` has them too. */
  readonly localBytesReceived: number;
  /** Receivers of what arrives; nothing is read before they are set. */
  handlers: ConnectionHandlers;
  limits: FrameLimits;
  /**
   * Queues one frame. `payload` must stay unchanged until `onFlushed`, which is also called when
   * the connection ends.
   */
  send(header: object, payload?: Uint8Array | Broadcast, onFlushed?: () => void): void;
  /** Frames that `action` sends go out at once where that is cheaper, when it returns. */
  together?(action: () => void): void;
  /** Ends the connection after flushing what is queued; no frame is delivered any more. */
  close(): void;
  /** Ends the connection at once: queued frames are lost, none is delivered any more. */
  destroy(): void;
}
