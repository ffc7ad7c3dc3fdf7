import type { Socket } from 'node:net';
import type { Clock, Timer } from '../base/clock.ts';
import type { Direction } from './relay-rule.ts';

/** Bytes that may wait per connection and direction; beyond, the sender is no longer read. */
const MAX_WAITING_BYTES = 1 << 20;
/** Milliseconds that a piece of a connection with a limited rate takes. */
const RATE_PIECE_MS = 10;

/** Something that waits to go on: bytes, the sender's end, or the sender's breaking off. */
interface Waiting {
  readonly what: Uint8Array | 'end' | 'break';
  readonly arrivedMs: number;
}

/**
 * One direction of one relayed connection: bytes wait in order until the rule of their direction
 * lets them go on.
 */
export class RelayedBytes {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #direction: Direction;
  readonly #clock: Clock;
  readonly #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #timer: Timer | undefined;
  /** The time at which the line is free again, with a limited rate. */
  #freeMs = 0;
  #hasEnded = false;
  #isStopped = false;

  /** Begins to read `from`. */
  constructor(from: Socket, to: Socket, direction: Direction, clock: Clock) {
    this.#from = from;
    this.#to = to;
    this.#direction = direction;
    this.#clock = clock;
    from.on('data', (bytes: Buffer) => {
      this.#waitingBytes += bytes.length;
      this.#add(bytes);
      if (this.#waitingBytes > MAX_WAITING_BYTES) from.pause();
    });
    from.once('end', () => {
      this.#hasEnded = true;
      this.#add('end');
    });
    from.once('close', (hadError) => {
      if (!this.#hasEnded || hadError) this.#add('break');
    });
    to.on('drain', () => this.pump());
    to.once('close', () => this.stop());
    from.resume();
  }

  /** Lets go on what may. Safe to call at any time. */
  pump(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    while (!this.#isStopped && !this.#to.writableNeedDrain && this.#pumpOne());
    if (this.#waitingBytes <= MAX_WAITING_BYTES && !this.#isStopped) this.#from.resume();
  }

  /** Ends it: what waits is dropped, and nothing goes on any more. */
  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#waiting.length = 0;
    this.#waitingBytes = 0;
  }

  #add(what: Waiting['what']): void {
    if (this.#isStopped) return;
    this.#waiting.push({ what, arrivedMs: this.#clock.now() });
    if (this.#timer === undefined) this.pump();
  }

  /** False when nothing can go on now. */
  #pumpOne(): boolean {
    const first = this.#waiting[0];
    const { rule } = this.#direction;
    if (first === undefined || rule.kind === 'drop') return false;
    const dueMs =
      rule.kind === 'delay' ? first.arrivedMs + rule.ms : rule.kind === 'rate' ? this.#freeMs : 0;
    const waitMs = dueMs - this.#clock.now();
    if (waitMs > 0) {
      this.#timer = this.#clock.after(Math.ceil(waitMs), () => this.pump());
      return false;
    }
    this.#waiting.shift();
    if (first.what === 'end') this.#to.end();
    else if (first.what === 'break') this.#to.resetAndDestroy();
    else this.#forward(first.what, first.arrivedMs);
    return true;
  }

  #forward(bytes: Uint8Array, arrivedMs: number): void {
    const { rule } = this.#direction;
    let piece = bytes;
    if (rule.kind === 'rate') {
      const pieceBytes = Math.max(1, Math.floor((rule.bytesPerSecond * RATE_PIECE_MS) / 1000));
      piece = bytes.subarray(0, pieceBytes);
      if (bytes.length > piece.length)
        this.#waiting.unshift({ what: bytes.subarray(piece.length), arrivedMs });
      this.#freeMs =
        Math.max(this.#freeMs, this.#clock.now() - RATE_PIECE_MS) +
        (piece.length / rule.bytesPerSecond) * 1000;
    }
    this.#waitingBytes -= piece.length;
    this.#to.write(this.#direction.take(piece));
  }
}
