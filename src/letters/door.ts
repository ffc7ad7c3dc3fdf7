/** The door of a node: both interfaces on one port, and how much strangers may take there. */
import { systemClock } from '../base/clock.ts';
import type { LockstepError } from '../base/errors.ts';
import { refuseConnection } from '../protocol/greeting.ts';
import type { ByteStream } from '../transport/byte-stream.ts';
import type { Connection } from '../transport/connection.ts';
import { MemoryBudget } from '../transport/memory-budget.ts';
import { type Address, listen, type Listener } from '../transport/tcp.ts';
import type { CallSurroundings } from './thrift/serve-calls.ts';

/** Connections at one door, and those from one address. */
export const MAX_CONNECTIONS = 256;
export const MAX_PER_ADDRESS = 64;
/** Messages that are received or waiting at one door, of all connections. */
const MAX_MESSAGE_BYTES: number = 512 << 20;

/** Who takes the connections of either interface; each must set the handlers at once. */
export interface Guests {
  onFrames(connection: Connection, around: CallSurroundings): void;
  onThrift(stream: ByteStream, around: CallSurroundings): void;
}

/**
 * Opens a door; what fails at it is logged. Throws: PeerLostError when the port cannot be had.
 */
export async function openDoor(
  address: Address,
  log: (line: string) => void,
  guests: Guests,
): Promise<Listener> {
  const around = { clock: systemClock, budget: new MemoryBudget(MAX_MESSAGE_BYTES) };
  const places = new Places();
  return listen(
    address,
    (connection) => {
      const reason = places.problem(connection.peer);
      if (reason !== undefined) return refuseConnection(connection, reason, { isForNow: true });
      guests.onFrames(connection, around);
      connection.handlers = places.taken(connection.peer, connection.handlers);
    },
    {
      onAcceptFailed: (error) => log(error.message),
      onForeign: (stream) => {
        // Its interface has no word for it before a call.
        if (places.problem(stream.peer) !== undefined) return stream.destroy();
        guests.onThrift(stream, around);
        stream.handlers = places.taken(stream.peer, stream.handlers);
      },
    },
  );
}

/** The host of a peer in words (`host:port`). */
export function hostOf(peer: string): string {
  return peer.replace(/:\d+$/, '').replace(/^::ffff:/, '');
}

/** Counts who is at the door. */
export class Places {
  readonly #perHost = new Map<string, number>();
  #count = 0;

  /** Why there is no place for another connection of this peer, if there is none. */
  problem(peer: string): string | undefined {
    if (this.#count >= MAX_CONNECTIONS)
      return `there are ${MAX_CONNECTIONS} connections already. Try again later.`;
    if ((this.#perHost.get(hostOf(peer)) ?? 0) >= MAX_PER_ADDRESS)
      return `there are ${MAX_PER_ADDRESS} connections from your address already`;
    return undefined;
  }

  /** Takes a place until the connection with these handlers, which are wrapped, is over. */
  taken<H extends { onClose(error?: LockstepError): void }>(peer: string, handlers: H): H {
    const host = hostOf(peer);
    this.#count++;
    this.#perHost.set(host, (this.#perHost.get(host) ?? 0) + 1);
    const onClose = (error?: LockstepError): void => {
      this.#count--;
      const left = (this.#perHost.get(host) ?? 0) - 1;
      if (left > 0) this.#perHost.set(host, left);
      else this.#perHost.delete(host);
      handlers.onClose(error);
    };
    return { ...handlers, onClose };
  }
}
