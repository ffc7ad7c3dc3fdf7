/** A member's connections: control from the beginning, data and heartbeat once attached. */
import { invariant } from '../base/errors.ts';
import type { ToWorker } from '../protocol/messages.ts';
import { framesOf, type OwnCounts } from './blockages.ts';
import type { Traffic } from './liveness.ts';
import type { Broadcast, Connection } from '../transport/connection.ts';

/** The connections that a member adds to the one it was welcomed on. */
export type LaterChannel = 'data' | 'heartbeat';

/** What leads to a worker process and back. Only membership attaches and ends connections. */
export class Link {
  readonly #control: Connection;
  readonly #later = new Map<LaterChannel, Connection>();
  #messagesSent = 0;

  constructor(control: Connection) {
    this.#control = control;
  }

  /** The worker's end in words. */
  get peer(): string {
    return this.#control.peer;
  }

  /** The address of our machine that the worker uses; undefined where machines have none. */
  get localHost(): string | undefined {
    return this.#control.localHost;
  }

  /** Under which name the worker's key is known; undefined if it came without one. */
  get identity(): string | undefined {
    return this.#control.identity;
  }

  /** Whether all three connections stand. */
  get isWhole(): boolean {
    return this.has('data') && this.has('heartbeat');
  }

  /** Bytes on the data connection that are not on their way yet. */
  get queuedBytes(): number {
    return this.#later.get('data')?.queuedBytes ?? 0;
  }

  /** Bytes that the data connection has brought so far. */
  get dataBytesReceived(): number {
    return this.#later.get('data')?.bytesReceived ?? 0;
  }

  /** Messages that were sent, without what answers heartbeats. */
  get messagesSent(): number {
    return this.#messagesSent;
  }

  /** What went over control and data connection so far. */
  counts(): OwnCounts {
    const data = this.#later.get('data');
    return {
      control: framesOf(this.#control),
      data: framesOf(data),
      dataBytes: data?.bytesReceived ?? 0,
    };
  }

  /** What went over the connections so far. */
  traffic(): Traffic {
    const heartbeatBytes = this.#later.get('heartbeat')?.bytesReceived ?? 0;
    const heardBytes = this.#all().reduce((sum, c) => sum + c.bytesReceived, 0);
    const waitingBytes = this.#all().reduce((sum, c) => sum + c.queuedBytes, 0);
    return { heardBytes, workBytes: heardBytes - heartbeatBytes, waitingBytes };
  }

  /** Bytes over all connections, both ways. */
  get bytesMoved(): number {
    return this.#all().reduce((sum, c) => sum + c.bytesSent + c.bytesReceived, 0);
  }

  /** Whether the connection for `channel` stands. */
  has(channel: LaterChannel): boolean {
    return this.#later.has(channel);
  }

  /** Adds the one connection for `channel`. */
  attach(channel: LaterChannel, connection: Connection): void {
    invariant(!this.has(channel), `there is a ${channel} connection already`);
    this.#later.set(channel, connection);
  }

  /** Sends on the control connection. */
  send(message: ToWorker, payload?: Uint8Array): void {
    this.#messagesSent++;
    this.#control.send(message, payload);
  }

  /** Sends on the data connection, which every member that is ready has. */
  sendData(message: ToWorker, payload?: Uint8Array | Broadcast, onFlushed?: () => void): void {
    this.#messagesSent++;
    this.#later.get('data')?.send(message, payload, onFlushed);
  }

  /** It will say `count` things more than what it is sent asks for. */
  expect(count: number): void {
    this.#messagesSent += count;
  }

  /** Ends every connection once what is queued is sent. */
  close(): void {
    for (const connection of this.#all()) connection.close();
  }

  /** Ends every connection at once. */
  destroy(): void {
    for (const connection of this.#all()) connection.destroy();
  }

  #all(): Connection[] {
    const later = [this.#later.get('data'), this.#later.get('heartbeat')];
    return [this.#control, ...later].filter((c) => c !== undefined);
  }
}
