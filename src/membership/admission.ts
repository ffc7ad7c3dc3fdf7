/**
 * The door: what a fresh connection must show before it belongs to a member, and who is rejected.
 * It decides who may come in; the roster takes them in.
 */
import type { Clock, Timer } from '../base/clock.ts';
import { ProtocolError } from '../base/errors.ts';
import { remember } from '../base/remember.ts';
import { awaitGreeting, refuseConnection, versionProblem } from '../protocol/greeting.ts';
import { CLUSTER_PROTOCOL, type Hello, parseToCoordinator } from '../protocol/messages.ts';
import type { Connection } from '../transport/connection.ts';
import type { LaterChannel } from './link.ts';
import type { Member } from './member.ts';
import { crowdedOut, findPlace } from './places.ts';
import type { Rejection } from './roster-handlers.ts';
import type { Timing } from './timing.ts';

/** What the door needs to know of those inside, and whom it shows in. */
export interface AdmissionOptions {
  readonly clock: Clock;
  readonly timing: Timing;
  readonly memberOf: (workerId: string) => Member | undefined;
  readonly members: () => readonly Member[];
  /** A member that is not ready makes room for a newcomer. */
  readonly onGivingWay: (member: Member) => void;
  /** A worker may come in; another member of the same identity is silent and must go. */
  readonly onWorker: (connection: Connection, hello: Hello) => void;
  /** Another connection of a member. */
  readonly onChannel: (
    member: Member,
    connection: Connection,
    channel: LaterChannel,
    hello: Hello,
  ) => void;
  readonly onRejected: (rejection: Rejection) => void;
}

/** Greets connections one by one; each has a deadline to say who it is. */
export class Admission {
  readonly #options: AdmissionOptions;
  /** Why each banned worker id is. */
  readonly #banned = new Map<string, string>();
  readonly #greeting = new Map<Connection, Timer>();
  /** Members of whose identity somebody else was rejected. */
  readonly #doubled = new WeakSet<Member>();

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /** Takes over a fresh connection. */
  greet(connection: Connection): void {
    const { clock, timing } = this.#options;
    const deadline = awaitGreeting(connection, clock, timing.greetingMs);
    this.#greeting.set(connection, deadline);
    connection.handlers = {
      onFrame: (header) => {
        this.#endGreeting(connection);
        this.#admit(connection, header);
      },
      onClose: (error) => {
        this.#endGreeting(connection);
        if (error instanceof ProtocolError) this.#tellOfStranger(connection, error);
      },
    };
    this.#end(crowdedOut([...this.#greeting.keys()]));
  }

  /** Never lets `workerId` in again, and says why. */
  ban(workerId: string, reason: string): void {
    remember(this.#banned, workerId, reason);
  }

  /** Greets nobody any more; gives the connections that have not said who they are. */
  close(): Connection[] {
    const connections = [...this.#greeting.keys()];
    for (const connection of connections) this.#endGreeting(connection);
    return connections;
  }

  /** Somebody spoke otherwise than a worker does: it has hung up, or was hung up on. */
  #tellOfStranger({ peer }: Connection, { message }: ProtocolError): void {
    this.#options.onRejected({ peer, reason: message });
  }

  #end(connection: Connection | undefined): void {
    if (connection === undefined) return;
    this.#endGreeting(connection);
    connection.destroy();
  }

  #endGreeting(connection: Connection): void {
    this.#greeting.get(connection)?.cancel();
    this.#greeting.delete(connection);
  }

  #admit(connection: Connection, header: unknown): void {
    const message = parseToCoordinator(header, connection.peer);
    if (message.kind !== 'hello')
      throw new ProtocolError(`${connection.peer}: expected hello first, got ${message.kind}`);
    const problem = this.#problemWith(message);
    if (problem !== undefined) return this.#reject(connection, problem, message.rank);
    const member = this.#options.memberOf(message.workerId);
    if (message.channel === 'control') return this.#admitWorker(connection, message, member);
    if (member === undefined || member.session !== message.session) {
      const reason = 'this connection belongs to no member of the run';
      return this.#reject(connection, reason, message.rank);
    }
    const { channel } = message;
    if (member.link.has(channel)) {
      const reason = `the worker has a ${channel} connection already`;
      return this.#reject(connection, reason, member.rank);
    }
    this.#options.onChannel(member, connection, channel, message);
  }

  #problemWith(hello: Hello): string | undefined {
    const ban = this.#banned.get(hello.workerId);
    if (ban !== undefined) return ban;
    const mismatch = versionProblem(CLUSTER_PROTOCOL, hello);
    return mismatch;
  }

  #admitWorker(connection: Connection, hello: Hello, double: Member | undefined): void {
    const { clock, timing, onWorker } = this.#options;
    const isAlive = double !== undefined && double.liveness.silentMs(clock.now()) < timing.stallMs;
    if (isAlive) this.#rejectDouble(connection, double);
    // A worker that comes back has a place: its own.
    else if (double !== undefined || this.#makesRoom(connection, hello))
      onWorker(connection, hello);
  }

  /** True when there is a place; without one the newcomer is told to come back. */
  #makesRoom(connection: Connection, { rank }: Hello): boolean {
    const { clock, members, onGivingWay, onRejected } = this.#options;
    const { peer } = connection;
    const place = findPlace(members(), peer, clock.now());
    if (place.kind === 'taken over') onGivingWay(place.from);
    if (place.kind !== 'full') return true;
    refuseConnection(connection, place.reason, { isForNow: true });
    onRejected({ peer, ...(rank !== null && { rank }), reason: place.reason });
    return false;
  }

  #reject(connection: Connection, reason: string, rank: number | null): void {
    refuseConnection(connection, reason);
    this.#options.onRejected({ peer: connection.peer, ...(rank !== null && { rank }), reason });
  }

  /**
   * Two cannot be the same worker. If this is the same one after all, its old connections will be
   * silent soon, or end: it may try again. That is reported once.
   */
  #rejectDouble(connection: Connection, member: Member): void {
    const { peer } = connection;
    const { rank } = member;
    const standing = `as rank ${rank}, and alive`;
    const reason = `the worker with this identity is in the run already, ${standing}`;
    refuseConnection(connection, reason, { isForNow: true });
    if (!this.#doubled.has(member)) this.#options.onRejected({ peer, rank, reason });
    this.#doubled.add(member);
  }
}
