/**
 * The line before the door: connections are heard at a bounded rate, every address in its turn, the
 * newest first, since who waits for long is in a crowd of its own. To hear one costs time that the
 * run needs, and strangers can make as many as they like.
 */
import type { Clock, Timer } from '../base/clock.ts';
import { TokenBucket } from '../base/token-bucket.ts';
import type { Connection } from '../transport/connection.ts';
import { addressOf } from './places.ts';

/** Heard at once: the three of each worker that a run has place for, when all come together. */
const BURST = 768;
/** Beyond that one is heard in so many milliseconds. */
const REFILL_MS = 20;

/** What a line is given. */
export interface LineOptions {
  readonly clock: Clock;
  /** It is the connection's turn. */
  readonly onTurn: (connection: Connection) => void;
}

interface First {
  readonly address: string;
  readonly neighbours: Set<Connection>;
  readonly connection: Connection;
}

/** Connections that wait until they are heard; who must not wait any more is taken out. */
export class Line {
  readonly #options: LineOptions;
  readonly #bucket: TokenBucket;
  /** By address, in the order in which their turn comes. */
  readonly #waiting = new Map<string, Set<Connection>>();
  #timer: Timer | undefined;

  constructor(options: LineOptions) {
    this.#options = options;
    this.#bucket = new TokenBucket(BURST, REFILL_MS, options.clock.now());
  }

  /** Waits for its turn, which may be now. */
  join(connection: Connection): void {
    const address = addressOf(connection.peer);
    const neighbours = this.#waiting.get(address) ?? new Set();
    this.#waiting.set(address, neighbours.add(connection));
    this.#advance();
  }

  leave(connection: Connection): void {
    const address = addressOf(connection.peer);
    const neighbours = this.#waiting.get(address);
    neighbours?.delete(connection);
    if (neighbours?.size === 0) this.#waiting.delete(address);
    if (this.#waiting.size === 0) this.#rest();
  }

  #advance(): void {
    const { clock, onTurn } = this.#options;
    for (let first = this.#first(); first !== undefined; first = this.#first()) {
      if (!this.#bucket.take(clock.now())) break;
      this.#step(first);
      onTurn(first.connection);
    }
    if (this.#waiting.size === 0) return this.#rest();
    this.#timer ??= clock.after(REFILL_MS, () => {
      this.#timer = undefined;
      this.#advance();
    });
  }

  /** The one that has waited longest, of the address whose turn it is. */
  #first(): First | undefined {
    const [address, neighbours] = this.#waiting.entries().next().value ?? [];
    const connection = neighbours === undefined ? undefined : [...neighbours].at(-1);
    return address === undefined || neighbours === undefined || connection === undefined
      ? undefined
      : { address, neighbours, connection };
  }

  #step({ address, neighbours, connection }: First): void {
    this.#waiting.delete(address);
    neighbours.delete(connection);
    if (neighbours.size > 0) this.#waiting.set(address, neighbours);
  }

  #rest(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
