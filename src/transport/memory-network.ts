/**
 * Connections inside one process on a `Clock`: the transport of the simulation and of tests. Frames
 * take the time that the link's bandwidth asks for and arrive after its delay, in order per
 * connection and direction, now and then twice; hosts can be frozen or dead, links held or cut.
 */
import type { Clock } from '../base/clock.ts';
import { type LockstepError, PeerLostError, ProtocolError, ShortageError } from '../base/errors.ts';
import {
  Broadcast,
  GREETING_LIMITS,
  type Connection,
  type ConnectionHandlers,
  type FrameLimits,
} from './connection.ts';

/**
 * A machine of the simulated network. What reaches it while it is frozen waits; a dead one is gone.
 */
export class SimulatedHost {
  readonly name: string;
  frozenUntilMs = 0;
  isDead = false;
  readonly #connections = new Set<MemoryConnection>();

  constructor(name: string) {
    this.name = name;
  }

  /** The process ends without a word; the kernel closes its connections. */
  kill(): void {
    this.isDead = true;
    for (const connection of [...this.#connections]) connection.destroy();
  }

  /** Every connection of this host breaks; the host itself goes on. */
  cutConnections(): void {
    for (const connection of [...this.#connections]) connection.breakBoth();
  }

  connectionCount(): number {
    return this.#connections.size;
  }

  attach(connection: MemoryConnection): void {
    this.#connections.add(connection);
  }

  detach(connection: MemoryConnection): void {
    this.#connections.delete(connection);
  }
}

/** How one link behaves: delays per frame, and a time until which nothing is delivered. */
export interface SimulatedLink {
  delayMs(byteLength: number): number;
  heldUntilMs: number;
  /** Until when nothing reaches `receiver`, whatever it says itself; not held so if absent. */
  heldTowardsMs?(receiver: SimulatedHost): number;
  /** Of each direction of each connection; without limit if absent. */
  readonly bytesPerMs?: number;
  /** Bytes that each byte of a payload stands for on the way; 1 if absent. */
  readonly payloadScale?: number;
  /** Whether this frame arrives a second time; never if absent. */
  isDoubled?(): boolean;
}

/** A frame, or the end of a connection, on its way to the other end. */
interface Arrival {
  /** When its bytes begin to leave, when all have left, and when they are there. */
  readonly startMs: number;
  readonly endMs: number;
  readonly dueMs: number;
  readonly byteLength: number;
  readonly run: () => void;
}

class MemoryConnection implements Connection {
  readonly peer: string;
  limits: FrameLimits = GREETING_LIMITS;
  bytesSent = 0;
  framesSent = 0;
  framesReceived = 0;
  #wholeBytesReceived = 0;
  readonly localBytesReceived = 0;
  /** The other end; `connectInMemory` sets it right after construction. */
  other: MemoryConnection | undefined;
  readonly host: SimulatedHost;
  readonly #clock: Clock;
  readonly #link: SimulatedLink;
  readonly #unflushed = new Set<() => void>();
  /** Arrivals on their way to the other end, oldest first: none overtakes another. */
  readonly #underWay: Arrival[] = [];
  #isClosed = false;
  #handlers: ConnectionHandlers | undefined;
  /** What arrived before there was somebody to tell. */
  readonly #held: (() => void)[] = [];

  constructor(clock: Clock, link: SimulatedLink, host: SimulatedHost, peer: string) {
    this.#clock = clock;
    this.#link = link;
    this.host = host;
    this.peer = peer;
    host.attach(this);
  }

  get handlers(): ConnectionHandlers {
    return this.#handlers ?? { onFrame: () => {}, onClose: () => {} };
  }

  set handlers(handlers: ConnectionHandlers) {
    this.#handlers = handlers;
    for (const arrive of this.#held.splice(0)) arrive();
  }

  get queuedBytes(): number {
    if (this.#isClosed) return 0;
    return this.#underWay.reduce((sum, arrival) => sum + this.#bytesLeft(arrival), 0);
  }

  get bytesReceived(): number {
    return this.#wholeBytesReceived + (this.other?.bytesUnderWay() ?? 0);
  }

  /** Bytes of the frame at the head that have left already. */
  bytesUnderWay(): number {
    const head = this.#underWay[0];
    return head === undefined ? 0 : Math.max(0, head.byteLength - this.#bytesLeft(head));
  }

  send(header: object, payload?: Uint8Array | Broadcast, onFlushed?: () => void): void {
    if (this.#isClosed) {
      onFlushed?.();
      return;
    }
    const text = JSON.stringify(header);
    const bytes =
      (payload instanceof Broadcast ? payload.bytes : payload)?.slice() ?? new Uint8Array(0);
    this.bytesSent += text.length + bytes.length;
    this.framesSent++;
    const flushed = (): void => onFlushed?.();
    this.#unflushed.add(flushed);
    const { payloadScale = 1 } = this.#link;
    const byteLength = text.length + payloadScale * bytes.length;
    this.#deliver(byteLength, () => {
      if (this.#unflushed.delete(flushed)) flushed();
      if (this.other !== undefined) this.other.framesReceived++;
      this.other?.receive(text, bytes);
    });
    if (this.#link.isDoubled?.() === true)
      this.#deliver(byteLength, () => this.other?.receive(text, bytes));
  }

  close(): void {
    if (this.#isClosed) return;
    this.#deliver(0, () => this.other?.receiveEnd());
    this.#end(() => void this.#clock.after(0, () => this.handlers.onClose()));
  }

  destroy(): void {
    this.close();
  }

  breakBoth(): void {
    const other = this.other;
    this.destroy();
    other?.destroy();
  }

  receive(text: string, bytes: Uint8Array): void {
    if (this.#isClosed) return;
    this.#wholeBytesReceived += text.length + bytes.length;
    if (this.#handlers === undefined) this.#held.push(() => this.#take(text, bytes));
    else this.#take(text, bytes);
  }

  #take(text: string, bytes: Uint8Array): void {
    if (this.#isClosed) return;
    if (text.length > this.limits.maxHeaderBytes || bytes.length > this.limits.maxPayloadBytes) {
      return this.#fail(
        new ProtocolError(
          `reading a frame: larger than allowed (${text.length} + ${bytes.length} bytes)`,
        ),
      );
    }
    try {
      this.#hand(JSON.parse(text), bytes);
    } catch (error) {
      // A frame that was refused ends the connection, and so does a lack of memory; any other error
      // is a mistake of ours.
      if (!(error instanceof ProtocolError || error instanceof ShortageError)) throw error;
      this.#fail(error);
    }
  }

  #hand(header: unknown, bytes: Uint8Array): void {
    const target =
      bytes.length === 0 ? undefined : this.handlers.payloadTarget?.(header, bytes.length);
    if (target !== undefined && target.length < bytes.length) {
      throw new ProtocolError(
        `reading a frame: expected a payload of at most ${target.length} bytes here, got ` +
          `${bytes.length}`,
      );
    }
    target?.set(bytes);
    this.handlers.onFrame(header, target?.subarray(0, bytes.length) ?? bytes);
  }

  receiveEnd(): void {
    if (this.#handlers === undefined) {
      this.#held.push(() => this.receiveEnd());
      return;
    }
    this.#end(() => this.handlers.onClose(new PeerLostError(`connection to ${this.peer}: ended`)));
  }

  #fail(error: LockstepError): void {
    this.#end(() => this.handlers.onClose(error));
    this.#deliver(0, () => this.other?.receiveEnd());
  }

  #end(tellOwner: () => void): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.host.detach(this);
    for (const flushed of this.#unflushed) flushed();
    this.#unflushed.clear();
    if (!this.host.isDead) tellOwner();
  }

  /** Calls `run` at the other host after the delay, in order, once link and host let it. */
  #deliver(byteLength: number, run: () => void): void {
    const last = this.#underWay.at(-1);
    const { bytesPerMs = Infinity } = this.#link;
    const startMs = Math.max(this.#clock.now(), last?.endMs ?? 0);
    const endMs = startMs + byteLength / bytesPerMs;
    const dueMs = Math.max(last?.dueMs ?? 0, endMs + this.#link.delayMs(byteLength));
    this.#underWay.push({ startMs, endMs, dueMs, byteLength, run });
    if (this.#underWay.length === 1) this.#awaitNext();
  }

  /** Until when nothing of what was sent here is delivered. */
  get #heldUntilMs(): number {
    const receiver = this.other?.host;
    const oneWayMs = receiver && this.#link.heldTowardsMs?.(receiver);
    return Math.max(this.#link.heldUntilMs, oneWayMs ?? 0);
  }

  /** Bytes of a frame that have not left yet; nothing leaves while the link is held. */
  #bytesLeft({ startMs, endMs, byteLength }: Arrival): number {
    const nowMs = this.#clock.now();
    if (this.#heldUntilMs > nowMs || nowMs <= startMs) return byteLength;
    if (nowMs >= endMs) return 0;
    return Math.ceil((byteLength * (endMs - nowMs)) / (endMs - startMs));
  }

  #awaitNext(): void {
    const next = this.#underWay[0];
    const receiver = this.other?.host;
    if (next === undefined || receiver?.isDead === true) return;
    const readyMs = Math.max(next.dueMs, this.#heldUntilMs, receiver?.frozenUntilMs ?? 0);
    this.#clock.after(readyMs - this.#clock.now(), () => this.#arrive());
  }

  #arrive(): void {
    const next = this.#underWay[0];
    const receiver = this.other?.host;
    if (next === undefined || receiver?.isDead === true) return;
    const heldUntilMs = Math.max(this.#heldUntilMs, receiver?.frozenUntilMs ?? 0);
    if (heldUntilMs > this.#clock.now()) return this.#awaitNext();
    this.#underWay.shift();
    this.#awaitNext();
    next.run();
  }
}

/** A connection between two hosts: the end that `a` holds, and the end that `b` holds. */
export function connectInMemory(
  clock: Clock,
  link: SimulatedLink,
  a: SimulatedHost,
  b: SimulatedHost,
): readonly [Connection, Connection] {
  const left = new MemoryConnection(clock, link, a, b.name);
  const right = new MemoryConnection(clock, link, b, a.name);
  left.other = right;
  right.other = left;
  return [left, right];
}
