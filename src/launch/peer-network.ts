/** How the workers of real processes reach each other, and how ranks of a benchmark do. */
import { systemClock } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import { MAX_DOORS } from '../protocol/peer-messages.ts';
import type { Connection } from '../transport/connection.ts';
import { isLoopback } from '../transport/loopback.ts';
import type { SecuredDoor } from '../transport/secured-door.ts';
import { type Address, connect, listen, type Listener } from '../transport/tcp.ts';
import type { PeerNetwork } from '../worker/peer-network.ts';
import { COLLECTIVES } from './collectives.ts';
import { ownAddresses } from './own-addresses.ts';
import { Strangers } from './strangers.ts';

const CONNECT_TIMEOUT_MS = 5_000;
/** As whom workers of a run know each other. */
const RUN = 'run';

/** A door for other workers, and the way to theirs. */
export interface OpenPeerNetwork extends PeerNetwork {
  /** Of the first door. */
  readonly address: Address;
  /** Opens doors at the other addresses of this machine, as far as they are not too many. */
  openWide(): Promise<void>;
  /**
   * From now on others are called, and let in, by this key (32 bytes in hex); null: without one.
   */
  protect(key: string | null): void;
  /** Closes all doors; connections that were taken over there end. */
  close(): Promise<void>;
}

/**
 * Opens a door at `address`, one of this machine. `onConnection` hears of every connection, both
 * ways; `onNote` gets a sentence if sums cannot be added up as asked for. `addresses` are all at
 * which others reach this machine.
 *
 * Throws: PeerLostError when it cannot be opened.
 */
export async function openPeerNetwork(
  address: Address,
  onConnection: (connection: Connection) => void,
  onNote: (note: string) => void,
  addresses: () => readonly string[] = ownAddresses,
): Promise<OpenPeerNetwork> {
  let take: (connection: Connection) => void = (connection) => connection.destroy();
  let key: Uint8Array | undefined;
  const strangers = new Strangers(systemClock, (peer, reason) =>
    onNote(`${peer} was refused: ${reason}`),
  );
  const secured: SecuredDoor = {
    keyOf: (identity) => (identity === RUN ? key : undefined),
    onStranger: (peer, reason) => strangers.note(peer, reason),
  };
  const open = async (at: Address): Promise<Listener> =>
    listen(
      at,
      (connection) => {
        onConnection(connection);
        take(connection);
      },
      { secured: () => (key === undefined ? undefined : secured) },
    );
  const first = await open(address);
  const listeners = [first];
  return {
    address: first.address,
    doors: () => listeners.map((listener) => listener.address),
    openWide: async () => {
      const known = new Set(listeners.map((listener) => listener.address.host));
      const others = addresses().filter((host) => !known.has(host));
      const opening = others.slice(0, MAX_DOORS - known.size).map(async (host) => {
        listeners.push(await open({ host, port: 0 }));
      });
      const failed = (await Promise.allSettled(opening)).find(
        ({ status }) => status === 'rejected',
      );
      if (failed?.status === 'rejected') throw failed.reason;
    },
    connect: (door, opened, failed) => {
      const protection = key === undefined ? 'none' : { identity: RUN, key };
      connect(door, CONNECT_TIMEOUT_MS, isLoopback(door.host) ? 'none' : protection).then(
        (connection) => {
          onConnection(connection);
          opened(connection);
        },
        (error: unknown) => failed(messageOf(error)),
      );
    },
    protect: (hex) => (key = hex === null ? undefined : Buffer.from(hex, 'hex')),
    onVisitor: (taker) => (take = taker),
    onRefused: (peer, reason) => strangers.note(peer, reason),
    makeCollective: (name, options) => COLLECTIVES[name](options, onNote),
    close: async () => {
      await Promise.all(listeners.map(async (listener) => listener.close()));
    },
  };
}
