/** Frames over one TCP socket. */
import type { Socket } from 'node:net';
import { systemClock, type Timer } from '../base/clock.ts';
import { type LockstepError, PeerLostError, ProtocolError } from '../base/errors.ts';
import { asOurs } from '../base/shortage.ts';
import { printable } from '../base/printable.ts';
import type { Connection, ConnectionHandlers, FrameLimits } from './connection.ts';
import { Broadcast, GREETING_LIMITS } from './connection.ts';
import {
  encodeFrameHead,
  type LinkMessage,
  NO_PAYLOAD,
  type PayloadFacts,
  payloadFactsOf,
} from './frame.ts';
import { FrameDecoder } from './frame-decoder.ts';
import { isLoopback } from './loopback.ts';
import {
  type LocalPlace,
  LocalPayloads,
  MAX_LOCAL_BYTES,
  MIN_LOCAL_BYTES,
  type Outbox,
} from './local-payloads.ts';
import { SLICE_BYTES, SlicedWrites } from './socket-writes.ts';
import { fromSystemError } from './system-errors.ts';
import { bindingOf } from './tls.ts';

/** How long the peer of a connection that we have closed may take to read the rest and close. */
const LINGER_MS = 2_000;

/** Characters of what a peer says of its failure. */
const MAX_REASON = 500;

const NOTHING = new Uint8Array(0);

/** A `Connection` over one TCP socket. */
export class TcpConnection implements Connection {
  readonly peer: string;
  readonly identity: string | undefined;
  limits: FrameLimits = GREETING_LIMITS;
  bytesSent = 0;
  bytesReceived = 0;
  framesSent = 0;
  framesReceived = 0;
  localBytesReceived = 0;
  readonly #socket: Socket;
  readonly #writes: SlicedWrites;
  readonly #decoder: FrameDecoder;
  readonly #local: LocalPayloads;
  #handlers: ConnectionHandlers | undefined;
  #failure: LockstepError | undefined;
  #isOver = false;
  /** Runs since our `close`: then the socket goes, whatever the peer does. */
  #linger: Timer | undefined;

  constructor(socket: Socket, peer: string, outbox: Outbox, identity?: string) {
    this.#socket = socket;
    this.#writes = new SlicedWrites(socket);
    this.peer = peer;
    this.identity = identity;
    this.#decoder = new FrameDecoder({
      limits: () => this.limits,
      payloadTarget: (header, byteLength) => this.#handlers?.payloadTarget?.(header, byteLength),
      frame: (header, payload) => {
        this.framesReceived++;
        this.#handlers?.onFrame(header, payload);
      },
      readLocal: (offset, target) => {
        this.bytesReceived += target.length;
        this.localBytesReceived += target.length;
        this.#local.read(offset, target);
      },
      link: (message) => this.#receiveLink(message),
    });
    // A tunnel looks so too, which `LocalPayloads` finds out.
    const isHere = isLoopback(socket.remoteAddress ?? '');
    this.#local = new LocalPayloads(outbox, (message) => this.#sendLink(message), isHere);
    socket.setNoDelay(true);
    socket.on('data', (bytes: Uint8Array) => this.#read(bytes));
    socket.on('error', (error) => (this.#failure ??= fromSystemError(error, peer)));
    socket.on('close', () => {
      this.#linger?.cancel();
      this.#writes.abandon();
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

  /** The address of this machine that the connection uses. */
  get localHost(): string {
    return this.#socket.localAddress?.replace(/^::ffff:/, '') ?? '127.0.0.1';
  }

  get binding(): Uint8Array | undefined {
    return bindingOf(this.#socket);
  }

  get queuedBytes(): number {
    return this.#writes.queuedBytes;
  }

  /** Whether this end has closed it: what is queued still leaves. */
  get isClosing(): boolean {
    return this.#linger !== undefined;
  }

  send(header: object, payload?: Uint8Array | Broadcast, onFlushed?: () => void): void {
    if (this.#isOver || this.#writes.isEnded) {
      onFlushed?.();
      return;
    }
    const bytes = payload instanceof Broadcast ? payload.bytes : (payload ?? NOTHING);
    const place = this.#placeOf(payload, bytes);
    const head =
      place === undefined
        ? encodeFrameHead(header, factsOf(payload, bytes))
        : this.#localFrameHead(header, place, bytes.length);
    this.bytesSent += head.length + bytes.length;
    this.framesSent++;
    if (place !== undefined || bytes.length === 0) return this.#writes.write(head, onFlushed);
    const isSmall = bytes.length <= SLICE_BYTES;
    if (isSmall) this.#socket.cork();
    this.#writes.write(head);
    this.#writes.write(bytes, onFlushed);
    if (isSmall) this.#socket.uncork();
  }

  together(action: () => void): void {
    this.#socket.cork();
    try {
      action();
    } finally {
      this.#socket.uncork();
    }
  }

  /** A frame whose payload the other end reads at `place` instead of from the socket. */
  #localFrameHead(header: object, place: LocalPlace, byteLength: number): Uint8Array {
    const envelope = { offset: this.#local.announce(place), header };
    return encodeFrameHead(envelope, { byteLength, checksum: 0 }, 'local');
  }

  #receiveLink(message: unknown): void {
    const failed =
      typeof message === 'object' && message !== null && 'failed' in message
        ? message.failed
        : undefined;
    if (typeof failed === 'string')
      throw new PeerLostError(`${this.peer} could not go on: ${printable(failed, MAX_REASON)}`);
    // Only a peer that has said who it is may speak of files.
    if (this.limits === GREETING_LIMITS)
      throw new ProtocolError(`${this.peer}: expected a greeting before it speaks of files`);
    this.#local.receive(message);
  }

  /** Where on this machine the payload lies for the other end to read, if it can go that way. */
  #placeOf(payload: Uint8Array | Broadcast | undefined, bytes: Uint8Array): LocalPlace | undefined {
    const isOfSize = bytes.length >= MIN_LOCAL_BYTES && bytes.length <= MAX_LOCAL_BYTES;
    if (!isOfSize || !this.#local.isOpen()) return undefined;
    if (!(payload instanceof Broadcast)) return this.#local.put(bytes);
    const known = payload.place as LocalPlace | undefined;
    const place = known ?? this.#local.put(bytes);
    payload.place = place;
    return place;
  }

  #sendLink(message: LinkMessage): void {
    const head = encodeFrameHead(message, NO_PAYLOAD, 'link');
    this.bytesSent += head.length;
    this.#writes.write(head);
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
    this.#writes.end();
  }

  destroy(): void {
    this.#decoder.stop();
    // A connection that has failed is over, and its last words are on their way.
    if (!this.#isOver) this.#socket.destroy();
  }

  #read(bytes: Uint8Array): void {
    this.bytesReceived += bytes.length;
    try {
      this.#decoder.push(bytes);
    } catch (error) {
      // Bytes that are not ours, a handler that refused the frame, or we cannot go on, which is no
      // fault of the peer's: the connection is over.
      this.#fail(asOurs(error, `handling a frame from ${this.peer}, which is not at fault`));
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

/** What a frame says of `bytes`, those of `payload`. The checksum for many is computed once. */
function factsOf(payload: Uint8Array | Broadcast | undefined, bytes: Uint8Array): PayloadFacts {
  if (!(payload instanceof Broadcast)) return payloadFactsOf(bytes);
  payload.checksum ??= payloadFactsOf(bytes).checksum;
  return { byteLength: bytes.length, checksum: payload.checksum };
}
