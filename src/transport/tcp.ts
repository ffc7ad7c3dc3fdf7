import { connect as connectSocket, createServer, type Server, type Socket } from 'node:net';
import { systemClock, type Timer } from '../base/clock.ts';
import {
  type LockstepError,
  PeerLostError,
  ProtocolError,
  messageOf,
  LockstepError as BaseError,
} from '../base/errors.ts';
import type { Connection, ConnectionHandlers, FrameLimits } from './connection.ts';
import { Broadcast, GREETING_LIMITS } from './connection.ts';
import type { ByteStream } from './byte-stream.ts';
import {
  encodeFrameHead,
  factsOf,
  FIRST_FRAME_BYTE,
  type LinkMessage,
  NO_PAYLOAD,
  type PayloadFacts,
} from './frame.ts';
import { FrameDecoder } from './frame-decoder.ts';
import {
  type LocalPlace,
  LocalPayloads,
  MAX_LOCAL_BYTES,
  MIN_LOCAL_BYTES,
  Outbox,
} from './local-payloads.ts';
import { TcpByteStream } from './tcp-byte-stream.ts';

/** Address of the other end or of our own door. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/**
 * A connection that we have closed waits this long for the peer to take what is left, and to close
 * its half.
 */
const LINGER_MS = 2_000;

/** A connection that may be somebody else's says what it is within this time. */
const FIRST_BYTE_TIMEOUT_MS = 10_000;

/** Characters of what a peer says of its failure. */
const MAX_REASON = 500;

const NOTHING = new Uint8Array(0);

/** A `Connection` over one TCP socket. */
class TcpConnection implements Connection {
  readonly peer: string;
  limits: FrameLimits = GREETING_LIMITS;
  bytesSent = 0;
  bytesReceived = 0;
  localBytesReceived = 0;
  readonly #socket: Socket;
  readonly #decoder: FrameDecoder;
  readonly #local: LocalPayloads;
  #handlers: ConnectionHandlers | undefined;
  #failure: LockstepError | undefined;
  #isOver = false;
  /** Runs since our `close`: then the socket goes, whatever the peer does. */
  #linger: Timer | undefined;
  readonly #isLoopback: boolean;

  constructor(socket: Socket, peer: string, outbox: Outbox) {
    this.#socket = socket;
    this.peer = peer;
    this.#decoder = new FrameDecoder({
      limits: () => this.limits,
      payloadTarget: (header, byteLength) => this.#handlers?.payloadTarget?.(header, byteLength),
      frame: (header, payload) => this.#handlers?.onFrame(header, payload),
      readLocal: (offset, target) => {
        this.bytesReceived += target.length;
        this.localBytesReceived += target.length;
        this.#local.read(offset, target);
      },
      link: (message) => this.#receiveLink(message),
    });
    this.#local = new LocalPayloads(outbox, (message) => this.#sendLink(message));
    this.#isLoopback = isLoopback(socket.remoteAddress);
    socket.setNoDelay(true);
    socket.on('data', (bytes: Uint8Array) => this.#read(bytes));
    socket.on('error', (error) => (this.#failure ??= fromSystemError(error, peer)));
    socket.on('close', () => {
      this.#linger?.cancel();
      this.#end();
    });
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

  send(header: object, payload?: Uint8Array | Broadcast, onFlushed?: () => void): void {
    if (this.#isOver || this.#socket.destroyed || this.#socket.writableEnded) {
      onFlushed?.();
      return;
    }
    const bytes = payload instanceof Broadcast ? payload.bytes : (payload ?? NOTHING);
    const place = this.#placeOf(payload, bytes);
    const head =
      place === undefined
        ? encodeFrameHead(
            header,
            payload instanceof Broadcast ? factsOfBroadcast(payload) : factsOf(bytes),
          )
        : encodeFrameHead(
            { offset: this.#local.announce(place), header },
            { byteLength: bytes.length, checksum: 0 },
            'local',
          );
    this.bytesSent += head.length + bytes.length;
    const flushed = onFlushed === undefined ? undefined : () => onFlushed();
    if (place !== undefined || bytes.length === 0) {
      this.#socket.write(head, flushed);
      return;
    }
    this.#socket.cork();
    this.#socket.write(head);
    this.#socket.write(bytes, flushed);
    this.#socket.uncork();
  }

  #receiveLink(message: unknown): void {
    const failed =
      typeof message === 'object' && message !== null && 'failed' in message
        ? message.failed
        : undefined;
    if (typeof failed === 'string')
      throw new ProtocolError(`${this.peer} could not go on: ${failed.slice(0, MAX_REASON)}`);
    // Only a peer on this machine may speak of files: a stranger must not make us open any.
    if (!this.#isLoopback)
      throw new ProtocolError(`${this.peer}: a file was offered from another machine`);
    this.#local.receive(message);
  }

  /** Where on this machine the payload lies for the other end to read, if it can go that way. */
  #placeOf(payload: Uint8Array | Broadcast | undefined, bytes: Uint8Array): LocalPlace | undefined {
    const isOfSize = bytes.length >= MIN_LOCAL_BYTES && bytes.length <= MAX_LOCAL_BYTES;
    if (!this.#isLoopback || !isOfSize || !this.#local.isOpen()) return undefined;
    if (!(payload instanceof Broadcast)) return this.#local.put(bytes);
    const known = payload.place as LocalPlace | undefined;
    const place = known ?? this.#local.put(bytes);
    payload.place = place;
    return place;
  }

  #sendLink(message: LinkMessage): void {
    const head = encodeFrameHead(message, NO_PAYLOAD, 'link');
    this.bytesSent += head.length;
    this.#socket.write(head);
  }

  close(): void {
    if (this.#linger !== undefined || this.#isOver) return;
    this.#decoder.stop();
    // Were the socket destroyed while the peer's bytes wait in it, the kernel would throw away ours
    // as well. So it is read to its end, which comes as soon as the peer has seen ours; one that is
    // silent must not keep us.
    const linger = (): void => {
      this.#linger?.cancel();
      this.#linger = systemClock.after(LINGER_MS, () => this.#socket.destroy());
    };
    linger();
    this.#socket.on('drain', linger).once('finish', linger);
    this.#socket.resume();
    this.#socket.end();
  }

  destroy(): void {
    this.#decoder.stop();
    // One that has failed is over, and its last words are on their way.
    if (!this.#isOver) this.#socket.destroy();
  }

  #read(bytes: Uint8Array): void {
    this.bytesReceived += bytes.length;
    try {
      this.#decoder.push(bytes);
    } catch (error) {
      // Bytes that are not ours, or a handler that refused the frame: this connection is over
      // either way.
      this.#fail(
        error instanceof BaseError
          ? error
          : new ProtocolError(`handling a frame from ${this.peer}: ${messageOf(error)}`),
      );
    }
  }

  /**
   * A peer that is ours is told why, on the connection itself, before it hears of its end. Our side
   * hears of it now: its other connections to the same peer may end while this one lingers.
   */
  #fail(error: LockstepError): void {
    this.#failure ??= error;
    if (!this.#decoder.isKnown) {
      this.#socket.destroy();
      return;
    }
    this.#sendLink({ failed: error.message.slice(0, MAX_REASON) });
    this.close();
    this.#end();
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#local.close();
    if (this.#failure === undefined && !this.#decoder.isBetweenFrames) {
      this.#failure = new PeerLostError(
        `reading from ${this.peer}: the connection ended inside a frame`,
      );
    }
    this.#handlers?.onClose(this.#failure);
  }
}

/** The checksum of a payload for many is computed once. */
function factsOfBroadcast(payload: Broadcast): PayloadFacts {
  payload.checksum ??= factsOf(payload.bytes).checksum;
  return { byteLength: payload.bytes.length, checksum: payload.checksum };
}

/**
 * Whether the other end may be on this machine; a tunnel may also look so, which `LocalPayloads`
 * finds out.
 */
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
    else
      tellApart(socket, accept, () => onForeign(new TcpByteStream(socket, peer, fromSystemError)));
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

function cannotListen(error: Error & { code?: string }, { host, port }: Address): PeerLostError {
  const remedy =
    error.code === 'EADDRINUSE'
      ? `port ${port} is in use. Stop the program that holds it, or choose another with --port ` +
        '(0 takes any free one).'
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
  return new TcpByteStream(socket, inWords(address), fromSystemError);
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
