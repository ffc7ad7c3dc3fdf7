/** A connection without frames: for interfaces of other programs on the same ports. */
import type { LockstepError } from '../base/errors.ts';

/** Who is told what arrives; one call at a time, in order. */
export interface ByteStreamHandlers {
  /** Takes bytes as they arrive, to keep; a LockstepError that it throws ends the stream. */
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
  /** What is written and not flushed yet. */
  readonly queuedBytes: number;
  /** Receivers of what arrives; nothing is read before they are set. */
  handlers: ByteStreamHandlers;
  /** Queues bytes; they must stay unchanged. Never blocks. */
  write(bytes: Uint8Array): void;
  /** Ends the stream after flushing what is queued; nothing is delivered any more. */
  close(): void;
  /** Ends the stream at once; nothing is delivered any more. */
  destroy(): void;
}
