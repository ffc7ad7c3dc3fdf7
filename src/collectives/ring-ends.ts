import { type LockstepError, PeerLostError, ProtocolError } from '../base/errors.ts';
import type { ConnectionHandlers } from '../transport/connection.ts';
import type { CollectiveOptions } from './collective.ts';

const MAX_HEADER_BYTES = 1 << 10;

/** What the rank before this one may send, and who hears it. */
export interface FromPrevious extends Omit<ConnectionHandlers, 'onClose'> {
  readonly maxPayloadBytes: number;
}

/**
 * A rank's two ends of the ring, until one of them breaks or the rank leaves. Nothing is expected
 * from the next rank.
 */
export class RingEnds {
  readonly #options: CollectiveOptions;
  readonly #onOver: () => void;
  #isOver = false;

  /** `onOver` is told once, however it ends. */
  constructor(
    options: CollectiveOptions,
    { maxPayloadBytes, ...handlers }: FromPrevious,
    onOver: () => void = () => {},
  ) {
    this.#options = options;
    this.#onOver = onOver;
    const { previous, next } = options.neighbours;
    previous.limits = { maxHeaderBytes: MAX_HEADER_BYTES, maxPayloadBytes };
    next.limits = { maxHeaderBytes: MAX_HEADER_BYTES, maxPayloadBytes: 0 };
    previous.handlers = { ...handlers, onClose: (error) => this.break(error, 'previous') };
    next.handlers = {
      onFrame: () => {
        throw new ProtocolError('adding up: nothing is expected from the next rank');
      },
      onClose: (error) => this.break(error, 'next'),
    };
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Sends to the next rank. */
  send(header: object, payload?: Uint8Array, onFlushed?: () => void): void {
    this.#options.neighbours.next.send(header, payload, onFlushed);
  }

  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const { previous, next } = this.#options.neighbours;
    previous.close();
    next.close();
    this.#onOver();
  }

  /** Closes, and says why: without an error, because the neighbour ended the connection. */
  break(error: LockstepError | undefined, neighbour: 'previous' | 'next'): void {
    if (this.#isOver) return;
    this.close();
    const peer = this.#options.neighbours[neighbour].peer;
    const ended = new PeerLostError(`adding up with ${peer}: it ended the connection`);
    this.#options.onBroken(error ?? ended, neighbour);
  }
}
