/**
 * The workers that knock at this worker's door: each says which group it belongs to, or which state
 * it is to get. One that comes before this worker has been told of its group waits for it a while;
 * a state is there before anybody is told of it.
 */
import type { Clock, Timer } from '../base/clock.ts';
import { awaitGreeting, refuseConnection, versionProblem } from '../protocol/greeting.ts';
import {
  parseVisitorHello,
  PEER_PROTOCOL,
  type PeerHello,
  type StateHello,
  type VisitorHello,
} from '../protocol/peer-messages.ts';
import { type Connection, GREETING_LIMITS } from '../transport/connection.ts';

const GREETING_MS = 10_000;
/** Who knocks, or waits, at most; more are turned away. */
const MAX_VISITORS = 16;

interface Visitor {
  readonly connection: Connection;
  readonly timer: Timer;
  /** Absent until it has said who it is. */
  hello?: PeerHello;
}

/** Who takes visitors over. */
interface Hosts {
  /** Takes a visitor over if it belongs to the present group. */
  readonly admit: (connection: Connection, hello: PeerHello) => boolean;
  /** Takes a visitor over if it is to get the state that is kept; absent: none is kept here. */
  readonly give?: (connection: Connection, hello: StateHello) => boolean;
}

/** Lets in who belongs to the present group, or is to get a state. */
export class PeerDoor {
  readonly #clock: Clock;
  readonly #hosts: Hosts;
  readonly #visitors = new Set<Visitor>();
  #isClosed = false;

  constructor(clock: Clock, hosts: Hosts) {
    this.#clock = clock;
    this.#hosts = hosts;
  }

  /** Takes a fresh connection. */
  receive(connection: Connection): void {
    connection.limits = GREETING_LIMITS;
    if (this.#isClosed || this.#visitors.size >= MAX_VISITORS) return connection.destroy();
    const timer = awaitGreeting(connection, this.#clock, GREETING_MS);
    const visitor: Visitor = { connection, timer };
    this.#visitors.add(visitor);
    connection.handlers = {
      onFrame: (header) => this.#hear(visitor, parseVisitorHello(header, connection.peer)),
      onClose: () => this.#forget(visitor),
    };
  }

  /** There is another group: who waited for it is let in. */
  reconsider(): void {
    for (const visitor of [...this.#visitors]) this.#consider(visitor);
  }

  /** Turns away whoever waits, and whoever comes. */
  close(): void {
    this.#isClosed = true;
    for (const visitor of [...this.#visitors]) {
      this.#forget(visitor);
      visitor.connection.destroy();
    }
  }

  #hear(visitor: Visitor, hello: VisitorHello): void {
    const problem = versionProblem(PEER_PROTOCOL, hello);
    if (problem !== undefined) return this.#refuse(visitor, problem);
    if (hello.channel === 'state') return this.#give(visitor, hello);
    visitor.hello = hello;
    this.#consider(visitor);
  }

  #give(visitor: Visitor, hello: StateHello): void {
    if (this.#hosts.give?.(visitor.connection, hello) === true) this.#forget(visitor);
    else this.#refuse(visitor, 'no state is kept here for whoever says that secret and step');
  }

  #refuse(visitor: Visitor, reason: string): void {
    this.#forget(visitor);
    refuseConnection(visitor.connection, reason);
  }

  #consider(visitor: Visitor): void {
    const { connection, hello } = visitor;
    if (hello !== undefined && this.#hosts.admit(connection, hello)) this.#forget(visitor);
  }

  #forget(visitor: Visitor): void {
    visitor.timer.cancel();
    this.#visitors.delete(visitor);
  }
}
