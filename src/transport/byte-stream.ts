/**
 * A connection whose bytes are not ours to cut into frames: for interfaces of other programs on the
 * same ports.
 */
import type { LockstepError } from '../base/errors.ts';

/** Who is told what arrives; one call at a time, in order. */
export interface ByteStreamHandlers {
  /**
   * Bytes as they arrive; they are the receiver's. A LockstepError that is thrown ends the stream
   * with it.
   */
  onBytes(bytes: Uint8Array): void;
  /**
   * The end, told exactly once, also after our own `close`. `error` is absent after an orderly end.
   */
  onClose(error?: LockstepError): void;
}

/** An ordered, reliable stream of bytes to one peer. */
export interface ByteStream {
  /** The other end in words, for messages. */
  readonly peer: string;
  /** Nothing is read before they are set. */
  handlers: ByteStreamHandlers;
  /** Queues bytes; they must stay unchanged. Never blocks. */
  write(bytes: Uint8Array): void;
  /**
   * Ends the stream after flushing what is queued. Nothing is delivered after this call or
   * `destroy`.
   */
  close(): void;
  /** Ends the stream at once. */
  destroy(): void;
}
