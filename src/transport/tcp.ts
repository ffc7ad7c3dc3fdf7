/** Doors that accept TCP connections, and connections that are made to them. */
import { connect as connectSocket, createServer, type Server, type Socket } from 'node:net';
import { systemClock } from '../base/clock.ts';
import { PeerLostError } from '../base/errors.ts';
import type { ByteStream } from './byte-stream.ts';
import type { Connection } from './connection.ts';
import { FIRST_FRAME_BYTE } from './frame.ts';
import { Outbox } from './local-payloads.ts';
import { cannotListen, fromSystemError } from './system-errors.ts';
import { TcpByteStream } from './tcp-byte-stream.ts';
import { TcpConnection } from './tcp-connection.ts';

/** Address of the other end or of our own door. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** How long a connection that may be somebody else's may say nothing. */
const FIRST_BYTE_TIMEOUT_MS = 10_000;

/** A door that accepts connections until it is closed. */
export interface Listener {
  readonly address: Address;
  close(): Promise<void>;
}

/**
 * How many connections may be open at a door at once: three per worker, for a few hundred workers.
 */
const MAX_CONNECTIONS = 1024;

/**
 * Opens a door at `address` (port 0: any free one). Throws PeerLostError with the remedy when it
 * cannot. `onAcceptFailed` is told of a connection that could not be accepted later on, e.g.
 * because this process has too many files open; the door stays open.
 * With `onForeign` a connection whose first byte does not begin a frame is given there, as it is;
 * one that says nothing for 10 s is closed. Without it every connection is taken for ours at once.
 */
export async function listen(
  address: Address,
  onConnection: (connection: Connection) => void,
  onAcceptFailed: (error: PeerLostError) => void = () => {},
  onForeign?: (stream: ByteStream) => void,
): Promise<Listener> {
  const open = new Set<Socket>();
  const outbox = new Outbox();
  const server: Server = createServer({ noDelay: true }, (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    const peer = `${socket.remoteAddress ?? 'unknown'}:${socket.remotePort ?? 0}`;
    const accept = (): void => onConnection(new TcpConnection(socket, peer, outbox));
    if (onForeign === undefined) accept();
    else tellApart(socket, accept, () => onForeign(new TcpByteStream(socket, peer)));
  });
  server.maxConnections = MAX_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    const refuse = (error: Error & { code?: string }): void => reject(cannotListen(error, address));
    server.once('error', refuse);
    server.listen({ host: address.host, port: address.port }, () => {
      server.removeListener('error', refuse);
      server.on('error', (error) => onAcceptFailed(fromSystemError(error, 'a newcomer')));
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
      for (const socket of open) if (!socket.writableEnded) socket.destroy();
      await closed;
      outbox.close();
    },
  };
}

/** Calls one of the two after the first byte, which is still to be read then. */
function tellApart(socket: Socket, onFrames: () => void, onOther: () => void): void {
  const timer = systemClock.after(FIRST_BYTE_TIMEOUT_MS, () => socket.destroy());
  // Broken before it said anything: nobody is there to be told.
  const ignore = (): void => {};
  socket.on('error', ignore);
  socket.once('close', () => timer.cancel());
  socket.once('data', (bytes: Buffer) => {
    timer.cancel();
    socket.pause();
    socket.unshift(bytes);
    socket.removeListener('error', ignore);
    if (bytes[0] === FIRST_FRAME_BYTE) onFrames();
    else onOther();
  });
}

/** Connects to `address` within `timeoutMs`, or throws PeerLostError. */
export async function connect(address: Address, timeoutMs: number): Promise<Connection> {
  const socket = await openSocket(address, timeoutMs);
  const outbox = new Outbox();
  socket.once('close', () => outbox.close());
  return new TcpConnection(socket, inWords(address), outbox);
}

/** Connects to a program that does not speak in frames; as `connect`. */
export async function connectBytes(address: Address, timeoutMs: number): Promise<ByteStream> {
  const socket = await openSocket(address, timeoutMs);
  return new TcpByteStream(socket, inWords(address));
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
