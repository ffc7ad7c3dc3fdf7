/**
 * The workers that knock at this worker's door: each says which group it belongs to, or which state
 * it is to get. One that comes before this worker has been told of its group waits for it a while;
 * a state is there before anybody is told of it. Whoever cannot be right is turned away at once.
 */
import type { Clock, Timer } from '../base/clock.ts';
import { ProtocolError } from '../base/errors.ts';
import { refuseConnection, versionProblem } from '../protocol/greeting.ts';
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

/**
 * What becomes of a visitor that says of which group it is: the group has taken it over, it waits
 * for a group that may still come, or it is turned away.
 */
export type Admission = 'taken' | 'waiting' | { readonly refused: string };

/** Who takes visitors over. */
interface Hosts {
  /** Takes a visitor over if it belongs to a group that is there. */
  readonly admit: (connection: Connection, hello: PeerHello) => Admission;
  /** Takes a visitor over if it is to get the state that is kept; absent: none is kept here. */
  readonly give?: (connection: Connection, hello: StateHello) => boolean;
  /** Hears who was turned away, and why. */
  readonly onRefused?: ((peer: string, reason: string) => void) | undefined;
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
    const timer = this.#clock.after(GREETING_MS, () => this.#giveUp(visitor));
    const visitor: Visitor = { connection, timer };
    this.#visitors.add(visitor);
    connection.handlers = {
      onFrame: (header) => this.#hear(visitor, parseVisitorHello(header, connection.peer)),
      onClose: (error) => {
        this.#forget(visitor);
        if (error instanceof ProtocolError) this.#tell(visitor, error.message);
      },
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
    this.#tell(visitor, reason);
  }

  #tell({ connection }: Visitor, reason: string): void {
    this.#hosts.onRefused?.(connection.peer, reason);
  }

  #consider(visitor: Visitor): void {
    const { connection, hello } = visitor;
    if (hello === undefined) return;
    const admission = this.#hosts.admit(connection, hello);
    if (admission === 'taken') this.#forget(visitor);
    else if (admission !== 'waiting') this.#refuse(visitor, admission.refused);
  }

  /** Its time is over: it has said nothing, or there is no group that it belongs to. */
  #giveUp(visitor: Visitor): void {
    const { connection, hello } = visitor;
    if (hello === undefined) return connection.destroy();
    const seconds = GREETING_MS / 1000;
    this.#refuse(
      visitor,
      `generation ${hello.generation}: nothing is known of it for ${seconds} s`,
    );
  }

  #forget(visitor: Visitor): void {
    visitor.timer.cancel();
    this.#visitors.delete(visitor);
  }
}
