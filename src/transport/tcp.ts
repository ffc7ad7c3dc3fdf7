/** Doors that accept TCP connections, and connections that are made to them. */
import { connect as connectSocket, createServer, type Server, type Socket } from 'node:net';
import { systemClock } from '../base/clock.ts';
import { ConfigError, messageOf, PeerLostError } from '../base/errors.ts';
import type { ByteStream } from './byte-stream.ts';
import type { Connection } from './connection.ts';
import { DoorGuard } from './door-guard.ts';
import { FIRST_FRAME_BYTE } from './frame.ts';
import { Outbox } from './local-payloads.ts';
import { admit, isOfThisMachine, type SecuredDoor, tellApart } from './secured-door.ts';
import { cannotListen, fromSystemError } from './system-errors.ts';
import { TcpByteStream } from './tcp-byte-stream.ts';
import { TcpConnection } from './tcp-connection.ts';
import { callTls, type SharedKey } from './tls.ts';

/** Address of the other end or of our own door. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** How a connection is protected: by a key, by staying on this machine, or not at all. */
export type Protection = SharedKey | 'this-machine' | 'none';

/** A door that accepts connections until it is closed. */
export interface Listener {
  readonly address: Address;
  close(): Promise<void>;
}

/** What a door does besides taking connections of programs of this machine. */
export interface ListenOptions {
  /**
   * Told of a connection that could not be accepted later on, e.g. because this process has too
   * many files open; the door stays open.
   */
  readonly onAcceptFailed?: (error: PeerLostError) => void;
  /**
   * Gets a connection whose first byte does not begin a frame, as it is; one that says nothing is
   * closed. Without it every connection is taken for ours at once.
   */
  readonly onForeign?: (stream: ByteStream) => void;
  /**
   * Asked for every connection; without it, or where it gives nothing, whoever reaches the door is
   * let in without a key.
   */
  readonly secured?: () => SecuredDoor | undefined;
}

/**
 * How many connections may be open at a door at once: three per worker, for a few hundred workers.
 */
const MAX_CONNECTIONS = 1024;

/**
 * Opens a door at `address` (port 0: any free one). Throws PeerLostError with the remedy when it
 * cannot.
 */
export async function listen(
  address: Address,
  onConnection: (connection: Connection) => void,
  { onAcceptFailed, onForeign, secured }: ListenOptions = {},
): Promise<Listener> {
  /** Connections, and sockets that are none yet. */
  const open = new Map<Socket, TcpConnection | undefined>();
  const outbox = new Outbox();
  const guard = new DoorGuard(systemClock);
  const server: Server = createServer({ noDelay: true }, (socket) => {
    const peer = `${socket.remoteAddress ?? 'unknown'}:${socket.remotePort ?? 0}`;
    const enter = (ours: Socket, identity?: string): void => {
      const connection = new TcpConnection(ours, peer, outbox, identity);
      open.set(ours, connection);
      onConnection(connection);
    };
    const accept = (): void => enter(socket);
    open.set(socket, undefined);
    socket.once('close', () => open.delete(socket));
    const lock = secured?.();
    if (lock !== undefined)
      return admit(socket, { peer, guard, secured: lock, accept }, (inside, identity) => {
        // It is the one that is told to end, and knows whether it has.
        open.delete(socket);
        inside.once('close', () => open.delete(inside));
        enter(inside, identity);
      });
    if (onForeign === undefined) return accept();
    tellApart(socket, (firstByte) => {
      if (firstByte === FIRST_FRAME_BYTE) accept();
      else onForeign(new TcpByteStream(socket, peer));
    });
  });
  server.maxConnections = MAX_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    const refuse = (error: Error & { code?: string }): void => reject(cannotListen(error, address));
    server.once('error', refuse);
    server.listen({ host: address.host, port: address.port }, () => {
      server.removeListener('error', refuse);
      server.on('error', (error) => onAcceptFailed?.(fromSystemError(error, 'a newcomer')));
      resolve();
    });
  });
  const bound = server.address();
  const port = typeof bound === 'object' && bound !== null ? bound.port : address.port;
  return {
    address: { host: address.host, port },
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      // Those that are closing already are given time to flush; it is bounded.
      for (const [socket, connection] of open)
        if (connection?.isClosing !== true && !socket.writableEnded) socket.destroy();
      await closed;
      outbox.close();
    },
  };
}

/**
 * Connects to `address` within `timeoutMs`, or throws PeerLostError. Without a key the other end
 * must be a program of this machine, unless it is said that nothing protects the connection.
 */
export async function connect(
  address: Address,
  timeoutMs: number,
  protection: Protection = 'this-machine',
): Promise<TcpConnection> {
  const raw = await openSocket(address, timeoutMs);
  const socket = await protect(raw, address, timeoutMs, protection);
  const outbox = new Outbox();
  socket.once('close', () => outbox.close());
  return new TcpConnection(socket, inWords(address), outbox);
}

/** Connects to a program that does not speak in frames; as `connect`. */
export async function connectBytes(address: Address, timeoutMs: number): Promise<ByteStream> {
  const socket = await openSocket(address, timeoutMs);
  return new TcpByteStream(socket, inWords(address));
}

async function protect(
  raw: Socket,
  address: Address,
  timeoutMs: number,
  protection: Protection,
): Promise<Socket> {
  if (protection === 'none') return raw;
  const peer = inWords(address);
  if (protection === 'this-machine') {
    if (isOfThisMachine(raw)) return raw;
    raw.destroy();
    throw new ConfigError(
      `${peer} is another machine, and its address alone proves nothing. Use the join link that ` +
        'the coordinator has printed, or --insecure in a network that you trust',
    );
  }
  const deadline = systemClock.after(timeoutMs, () => raw.destroy());
  try {
    return await callTls(raw, protection);
  } catch (error) {
    raw.destroy();
    throw new PeerLostError(
      `connecting to ${peer}: it does not accept our key (${messageOf(error)})`,
      { host: address.host, port: address.port, isKeyRefused: true },
      { cause: error },
    );
  } finally {
    deadline.cancel();
  }
}

function inWords({ host, port }: Address): string {
  return `${host}:${port}`;
}

async function openSocket(address: Address, timeoutMs: number): Promise<Socket> {
  const peer = inWords(address);
  const socket = connectSocket({ host: address.host, port: address.port, noDelay: true });
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      socket.destroy();
      reject(
        new PeerLostError(`connecting to ${peer}: no answer for ${timeoutMs} ms`, {
          host: address.host,
          port: address.port,
        }),
      );
    }, timeoutMs);
    socket.once('connect', () => {
      clearTimeout(timer);
      socket.removeAllListeners('error');
      resolve();
    });
    socket.once('error', (error) => {
      clearTimeout(timer);
      reject(fromSystemError(error, peer));
    });
  });
  return socket;
}
