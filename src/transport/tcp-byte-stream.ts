import type { Socket } from 'node:net';
import { systemClock, type Timer } from '../base/clock.ts';
import type { LockstepError } from '../base/errors.ts';
import { asOurs } from '../base/shortage.ts';
import type { ByteStream, ByteStreamHandlers } from './byte-stream.ts';
import { queuedBytesOf } from './socket-writes.ts';
import { fromSystemError } from './system-errors.ts';

/** How long the peer of a stream that we have closed may take to read the rest and close. */
const LINGER_MS = 2_000;

/** A `ByteStream` over one TCP socket. */
export class TcpByteStream implements ByteStream {
  readonly peer: string;
  readonly #socket: Socket;
  #handlers: ByteStreamHandlers | undefined;
  #failure: LockstepError | undefined;
  #isStopped = false;
  #isOver = false;
  #linger: Timer | undefined;

  constructor(socket: Socket, peer: string) {
    this.#socket = socket;
    this.peer = peer;
    socket.setNoDelay(true);
    socket.on('data', (bytes: Uint8Array) => this.#read(bytes));
    socket.on('error', (error) => (this.#failure ??= fromSystemError(error, peer)));
    socket.on('close', () => this.#end());
    socket.pause();
  }

  get handlers(): ByteStreamHandlers {
    return this.#handlers ?? { onBytes: () => {}, onClose: () => {} };
  }

  set handlers(handlers: ByteStreamHandlers) {
    const isFirst = this.#handlers === undefined;
    this.#handlers = handlers;
    if (this.#isOver) handlers.onClose(this.#failure);
    else if (isFirst) this.#socket.resume();
  }

  get queuedBytes(): number {
    return queuedBytesOf(this.#socket);
  }

  write(bytes: Uint8Array): void {
    if (!this.#socket.destroyed && !this.#socket.writableEnded) this.#socket.write(bytes);
  }

  close(): void {
    if (this.#linger !== undefined || this.#isOver) return;
    this.#isStopped = true;
    this.#linger = systemClock.after(LINGER_MS, () => this.#socket.destroy());
    this.#socket.resume();
    this.#socket.end();
  }

  destroy(): void {
    this.#isStopped = true;
    this.#socket.destroy();
  }

  #read(bytes: Uint8Array): void {
    if (this.#isStopped) return;
    try {
      this.#handlers?.onBytes(bytes);
    } catch (error) {
      this.#failure ??= asOurs(error, `handling bytes from ${this.peer}, which is not at fault`);
      this.destroy();
    }
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#linger?.cancel();
    this.#handlers?.onClose(this.#failure);
  }
}
