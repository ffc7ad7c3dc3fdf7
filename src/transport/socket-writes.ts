/**
 * Writes to a socket, large ones in slices: each goes when the one before has left. A TLS socket
 * encrypts what it is given at once, and stands still meanwhile: 129 MB as one write took 0.8 s, of
 * which the process did nothing else for 0.5 s, and in slices 0.3 s.
 */
import type { Socket } from 'node:net';

/** The part of a socket's handle that tells how far the write under way has come. */
interface Handle {
  readonly writeQueueSize?: number;
}

/**
 * What waits to leave `socket`: zero once all has left, and less with every byte that leaves, also
 * in the middle of one large write. Up to twice the bytes themselves: those of the write under way
 * are in both terms.
 *
 * Source: `socket.setTimeout` of Node.js 20, which tells a slow write from a dead one by the same
 *         number of the handle; without it only whole writes show.
 */
export function queuedBytesOf(socket: Socket): number {
  const { _handle: handle } = socket as { readonly _handle?: Handle | null };
  return socket.writableLength + (handle?.writeQueueSize ?? 0);
}

/** So few that slow links pass one within a second or so. */
export const SLICE_BYTES: number = 256 << 10;

/** What waits to be written, or for its rest. */
interface Waiting {
  readonly bytes: Uint8Array;
  written: number;
  readonly onFlushed: (() => void) | undefined;
}

/** All that is written to one socket, in its order. */
export class SlicedWrites {
  readonly #socket: Socket;
  readonly #waiting: Waiting[] = [];
  #waitingBytes = 0;
  /** A slice is on its way, and its end brings the next. */
  #isUnderWay = false;
  #isEnding = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** What waits here or in the socket, as `queuedBytesOf`: a slice counts twice before and in it. */
  get queuedBytes(): number {
    return queuedBytesOf(this.#socket) + 2 * this.#waitingBytes;
  }

  /** Whether the socket takes nothing more, or will not once what waits is written. */
  get isEnded(): boolean {
    return this.#isEnding || this.#socket.destroyed || this.#socket.writableEnded;
  }

  /** `bytes` must stay unchanged until `onFlushed`, which is also called by `abandon`. */
  write(bytes: Uint8Array, onFlushed?: () => void): void {
    if (!this.#isUnderWay && bytes.length <= SLICE_BYTES) {
      this.#socket.write(bytes, onFlushed && (() => onFlushed()));
      return;
    }
    this.#waiting.push({ bytes, written: 0, onFlushed });
    this.#waitingBytes += bytes.length;
    if (!this.#isUnderWay) this.#writeNext();
  }

  /** Ends the socket once all that waits is written. */
  end(): void {
    this.#isEnding = true;
    if (!this.#isUnderWay) this.#socket.end();
  }

  /** The socket is closed: nothing of what waits is needed any more. */
  abandon(): void {
    this.#waitingBytes = 0;
    for (const { onFlushed } of this.#waiting.splice(0)) onFlushed?.();
  }

  #writeNext(): void {
    const [next] = this.#waiting;
    this.#isUnderWay = next !== undefined;
    if (next === undefined) {
      if (this.#isEnding) this.#socket.end();
      return;
    }
    const slice = next.bytes.subarray(next.written, next.written + SLICE_BYTES);
    next.written += slice.length;
    this.#waitingBytes -= slice.length;
    const isLast = next.written === next.bytes.length;
    if (isLast) this.#waiting.shift();
    this.#socket.write(slice, () => {
      if (isLast) next.onFlushed?.();
      if (!this.#socket.destroyed) this.#writeNext();
    });
  }
}
