/**
 * Connections inside one process on a `Clock`: the transport of the simulation and of tests. Frames
 * arrive after a delay, in order per connection and direction; hosts can be frozen or dead, links
 * held or cut.
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
}

class MemoryConnection implements Connection {
  readonly peer: string;
  handlers: ConnectionHandlers = { onFrame: () => {}, onClose: () => {} };
  limits: FrameLimits = GREETING_LIMITS;
  queuedBytes = 0;
  bytesSent = 0;
  bytesReceived = 0;
  readonly localBytesReceived = 0;
  /** The other end; `connectInMemory` sets it right after construction. */
  other: MemoryConnection | undefined;
  readonly host: SimulatedHost;
  readonly #clock: Clock;
  readonly #link: SimulatedLink;
  readonly #unflushed = new Set<() => void>();
  /** Arrivals on their way to the other end, oldest first: none overtakes another. */
  readonly #underWay: { readonly dueMs: number; readonly arrival: () => void }[] = [];
  #isClosed = false;

  constructor(clock: Clock, link: SimulatedLink, host: SimulatedHost, peer: string) {
    this.#clock = clock;
    this.#link = link;
    this.host = host;
    this.peer = peer;
    host.attach(this);
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
    this.queuedBytes += bytes.length;
    const flushed = (): void => {
      this.queuedBytes -= bytes.length;
      onFlushed?.();
    };
    this.#unflushed.add(flushed);
    this.#deliver(text.length + bytes.length, () => {
      if (this.#unflushed.delete(flushed)) flushed();
      this.other?.receive(text, bytes);
    });
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
    this.bytesReceived += text.length + bytes.length;
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

  /** Runs `arrival` at the other host after the delay, in order, once link and host let it. */
  #deliver(byteLength: number, arrival: () => void): void {
    const lastDueMs = this.#underWay.at(-1)?.dueMs ?? 0;
    const dueMs = Math.max(lastDueMs, this.#clock.now() + this.#link.delayMs(byteLength));
    this.#underWay.push({ dueMs, arrival });
    if (this.#underWay.length === 1) this.#awaitNext();
  }

  #awaitNext(): void {
    const next = this.#underWay[0];
    const receiver = this.other?.host;
    if (next === undefined || receiver?.isDead === true) return;
    const readyMs = Math.max(next.dueMs, this.#link.heldUntilMs, receiver?.frozenUntilMs ?? 0);
    this.#clock.after(readyMs - this.#clock.now(), () => this.#arrive());
  }

  #arrive(): void {
    const next = this.#underWay[0];
    const receiver = this.other?.host;
    if (next === undefined || receiver?.isDead === true) return;
    const heldUntilMs = Math.max(this.#link.heldUntilMs, receiver?.frozenUntilMs ?? 0);
    if (heldUntilMs > this.#clock.now()) return this.#awaitNext();
    this.#underWay.shift();
    this.#awaitNext();
    next.arrival();
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
