import { connect as connectSocket, createServer, type Server, type Socket } from 'node:net';
import {
  type LockstepError,
  PeerLostError,
  ProtocolError,
  messageOf,
  LockstepError as BaseError,
} from '../base/errors.ts';
import type { Connection, ConnectionHandlers, FrameLimits } from './connection.ts';
import { GREETING_LIMITS } from './connection.ts';
import { encodeFrameHead, FrameDecoder } from './frame.ts';
import { LocalPayloads } from './local-payloads.ts';

/** Address of the other end or of our own door. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** A `Connection` over one TCP socket. */
class TcpConnection implements Connection {
  readonly peer: string;
  limits: FrameLimits = GREETING_LIMITS;
  bytesSent = 0;
  bytesReceived = 0;
  readonly #socket: Socket;
  readonly #decoder: FrameDecoder;
  readonly #local: LocalPayloads;
  #handlers: ConnectionHandlers | undefined;
  #failure: LockstepError | undefined;
  #isOver = false;
  readonly #isLoopback: boolean;

  constructor(socket: Socket, peer: string) {
    this.#socket = socket;
    this.peer = peer;
    this.#decoder = new FrameDecoder({
      limits: () => this.limits,
      payloadTarget: (header, byteLength) => this.#handlers?.payloadTarget?.(header, byteLength),
      frame: (header, payload) => this.#handlers?.onFrame(header, payload),
      readLocal: (offset, target) => {
        this.bytesReceived += target.length;
        this.#local.read(offset, target);
      },
      link: (message) => this.#local.receive(message),
    });
    this.#local = new LocalPayloads((message) => void socket.write(encodeFrameHead(message, 0, 'link')));
    this.#isLoopback = isLoopback(socket.remoteAddress);
    socket.setNoDelay(true);
    socket.on('data', (bytes: Uint8Array) => this.#read(bytes));
    socket.on('error', (error) => (this.#failure ??= fromSystemError(error, peer)));
    socket.on('close', () => this.#end());
    // Nothing is read before there is somebody to tell.
    socket.pause();
  }

  get handlers(): ConnectionHandlers {
    return this.#handlers ?? { onFrame: () => {}, onClose: () => {} };
  }

  set handlers(handlers: ConnectionHandlers) {
    const isFirst = this.#handlers === undefined;
    this.#handlers = handlers;
    if (this.#isOver) handlers.onClose(this.#failure);
    else if (isFirst) this.#socket.resume();
  }

  get queuedBytes(): number {
    return this.#socket.writableLength;
  }

  send(header: object, payload?: Uint8Array, onFlushed?: () => void): void {
    if (this.#isOver || this.#socket.destroyed || this.#socket.writableEnded) {
      onFlushed?.();
      return;
    }
    const offset = payload !== undefined && this.#isLoopback ? this.#local.put(payload) : undefined;
    if (payload !== undefined && offset !== undefined)
      return this.#sendLocal(header, payload.length, offset, onFlushed);
    const head = encodeFrameHead(header, payload?.length ?? 0);
    this.bytesSent += head.length + (payload?.length ?? 0);
    const flushed = onFlushed === undefined ? undefined : () => onFlushed();
    if (payload === undefined || payload.length === 0) {
      this.#socket.write(head, flushed);
      return;
    }
    this.#socket.cork();
    this.#socket.write(head);
    this.#socket.write(payload, flushed);
    this.#socket.uncork();
  }

  #sendLocal(header: object, byteLength: number, offset: number, onFlushed?: () => void): void {
    const head = encodeFrameHead({ offset, header }, byteLength, 'local');
    this.bytesSent += head.length + byteLength;
    this.#socket.write(head, () => onFlushed?.());
  }

  close(): void {
    this.#decoder.stop();
    this.#socket.end();
    // A peer that never closes its half must not keep us: the socket is destroyed once our bytes are flushed.
    this.#socket.once('finish', () => this.#socket.destroy());
  }

  destroy(): void {
    this.#decoder.stop();
    this.#socket.destroy();
  }

  #read(bytes: Uint8Array): void {
    this.bytesReceived += bytes.length;
    try {
      this.#decoder.push(bytes);
    } catch (error) {
      // Bytes that are not ours, or a handler that refused the frame: this connection is over either way.
      this.#failure ??=
        error instanceof BaseError
          ? error
          : new ProtocolError(`handling a frame from ${this.peer}: ${messageOf(error)}`);
      this.#socket.destroy();
    }
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#local.close();
    if (this.#failure === undefined && !this.#decoder.isBetweenFrames) {
      this.#failure = new PeerLostError(`reading from ${this.peer}: the connection ended inside a frame`);
    }
    this.#handlers?.onClose(this.#failure);
  }
}

/** Whether the other end may be on this machine; a tunnel may also look so, which `LocalPayloads` finds out. */
function isLoopback(address: string | undefined): boolean {
  return address !== undefined && /^(::ffff:)?127\.|^::1$/.test(address);
}

/** System errors become ours here and nowhere else. */
function fromSystemError(error: Error & { code?: string }, peer: string): PeerLostError {
  return new PeerLostError(
    `connection to ${peer}: ${error.code ?? error.message}`,
    { systemCode: error.code },
    { cause: error },
  );
}

/** A door that accepts connections until it is closed. */
export interface Listener {
  readonly address: Address;
  close(): Promise<void>;
}

/** How many connections may be open at a door at once: three per worker, for a few hundred workers. */
const MAX_CONNECTIONS = 1024;

/** Opens a door at `address` (port 0: any free one). Throws PeerLostError with the remedy when it cannot. */
export async function listen(
  address: Address,
  onConnection: (connection: Connection) => void,
): Promise<Listener> {
  const open = new Set<Socket>();
  const server: Server = createServer({ noDelay: true }, (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    onConnection(new TcpConnection(socket, `${socket.remoteAddress ?? 'unknown'}:${socket.remotePort ?? 0}`));
  });
  server.maxConnections = MAX_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: Error & { code?: string }) => reject(cannotListen(error, address)));
    server.listen({ host: address.host, port: address.port }, resolve);
  });
  const bound = server.address();
  const port = typeof bound === 'object' && bound !== null ? bound.port : address.port;
  return {
    address: { host: address.host, port },
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}

function cannotListen(error: Error & { code?: string }, { host, port }: Address): PeerLostError {
  const remedy =
    error.code === 'EADDRINUSE'
      ? `port ${port} is in use. Stop the program that holds it, or choose another with --port (0 takes any free one).`
      : error.code === 'EACCES'
        ? `port ${port} needs more rights. Choose one above 1023 with --port.`
        : error.code === 'EADDRNOTAVAIL' || error.code === 'ENOTFOUND'
          ? `${host} is not an address of this machine. Use 127.0.0.1 or one that this machine has.`
          : messageOf(error);
  return new PeerLostError(
    `listening on ${host}:${port}: ${remedy}`,
    { systemCode: error.code, host, port },
    { cause: error },
  );
}

/** Connects to `address` within `timeoutMs`, or throws PeerLostError. */
export async function connect(address: Address, timeoutMs: number): Promise<Connection> {
  const peer = `${address.host}:${address.port}`;
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
  return new TcpConnection(socket, peer);
}
