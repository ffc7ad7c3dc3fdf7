/**
 * One ring of a group, as one of its members sees it: it dials the worker before it, is dialled by
 * the one after it, and once all are connected it makes its part of what they add up with.
 */
import type { Clock, Timer } from '../base/clock.ts';
import { messageOf, ProtocolError } from '../base/errors.ts';
import type { Collective, CollectiveOptions, Neighbours } from '../collectives/collective.ts';
import type { Group, GroupRing } from '../protocol/messages.ts';
import type { LinkSpeed } from '../plan/sum-cost.ts';
import {
  MAX_DOORS,
  MAX_PROBES,
  parsePeerAnswer,
  parsePeerRequest,
  PEER_LIMITS,
  type PeerAnswer,
  type PeerRequest,
} from '../protocol/peer-messages.ts';
import type { Connection } from '../transport/connection.ts';
import { PeerDial } from './peer-dial.ts';
import type { Admission } from './peer-door.ts';
import type { PeerNetwork } from './peer-network.ts';

/** How long the other may take to answer a hello: it may not have been told of the group yet. */
const ANSWER_MS = 10_000;

/** What a member's part is made from. */
export type PartOptions = Pick<CollectiveOptions, 'index' | 'size' | 'neighbours' | 'onBroken'>;

/** Which ring, and who hears of it. */
export interface PeerRingOptions {
  readonly group: Pick<Group, 'generation' | 'secret' | 'index' | 'sumBytes'>;
  readonly ring: GroupRing;
  readonly network: Pick<PeerNetwork, 'connect'>;
  readonly clock: Clock;
  /** Its members have memory in common: their connections are not measured. */
  readonly sharesMemory: boolean;
  readonly makeCollective: (options: PartOptions) => Collective;
  /** All are connected, and the part of this one is made. */
  readonly onStanding: () => void;
  /** The member at this place of the group is not reached. The other neighbour stays. */
  readonly onUnreached: (place: number, reason: string) => void;
  /** It is over, by a fault at this place of the group: told once, or never. */
  readonly onBroken: (place: number, reason: string) => void;
}

/** This worker's part in a ring, until it is closed. */
export class PeerRing {
  readonly #options: PeerRingOptions;
  /** This one's place in the ring. */
  readonly #index: number;
  readonly #dial: PeerDial;
  #deadline: Timer;
  /** The connection that was chosen of those to the worker before. */
  #previous: Connection | undefined;
  #link: LinkSpeed | undefined;
  /** Connections of the worker after this one, until it chooses; how often each was measured. */
  readonly #candidates = new Map<Connection, number>();
  #next: Connection | undefined;
  /** All from the first to the worker before this one are connected to both neighbours. */
  #isReached = false;
  /** This one is, too, and has said so. */
  #isConnected = false;
  #collective: Collective | undefined;
  /** All agree how they add up. */
  #isAgreed = false;
  #isOver = false;

  constructor(options: PeerRingOptions) {
    const { group, ring, network, clock, sharesMemory } = options;
    this.#options = options;
    this.#index = ring.members.indexOf(group.index);
    this.#deadline = clock.after(ANSWER_MS, () => this.#giveUp());
    this.#dial = new PeerDial({
      group,
      doors: ring.doors,
      isMeasured: !sharesMemory,
      network,
      clock,
      onChosen: (connection, link) => this.#follow(connection, link),
      // The other neighbour stays until the coordinator ends the group: it would blame this worker.
      onFailed: (reason) => options.onUnreached(this.#placeOf('previous'), reason),
    });
  }

  get kind(): GroupRing['kind'] {
    return this.#options.ring.kind;
  }

  /** How fast sums of the worker before come; absent where that is not measured. */
  get link(): LinkSpeed | undefined {
    return this.#link;
  }

  /** Present once all are connected, and agree how they add up. */
  get collective(): Collective | undefined {
    return this.#isAgreed ? this.#collective : undefined;
  }

  /** The place in the group of the worker after this one. */
  get placeAfter(): number {
    return this.#placeOf('next');
  }

  /** Takes over a connection of the worker after this one, or says why not. */
  admit(connection: Connection): Admission {
    // The coordinator will say that it is over.
    if (this.#isOver) return 'waiting';
    const { generation } = this.#options.group;
    const who = `generation ${generation}: the worker at place ${this.placeAfter}`;
    if (this.#next !== undefined) return { refused: `${who} is connected already` };
    if (this.#candidates.size >= MAX_DOORS)
      return { refused: `${who} has as many connections as a worker may have doors, ${MAX_DOORS}` };
    this.#candidates.set(connection, 0);
    connection.limits = { ...PEER_LIMITS, maxPayloadBytes: 0 };
    connection.handlers = {
      onFrame: (header) => this.#serve(connection, parsePeerRequest(header, connection.peer)),
      onClose: () => void this.#candidates.delete(connection),
    };
    connection.send({ kind: 'welcome', generation } satisfies PeerAnswer);
    return 'taken';
  }

  /** Ends every connection; nobody is called back any more. */
  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#deadline.cancel();
    this.#dial.close();
    this.#collective?.close();
    this.#previous?.close();
    this.#next?.close();
    for (const connection of this.#candidates.keys()) connection.close();
  }

  /** The worker after this one measures a connection, or has chosen it. */
  #serve(connection: Connection, request: PeerRequest): void {
    switch (request.kind) {
      case 'probe': {
        const count = (this.#candidates.get(connection) ?? 0) + 1;
        if (count > MAX_PROBES) throw new ProtocolError('a worker measures without end');
        this.#candidates.set(connection, count);
        return connection.send(
          { kind: 'probed' } satisfies PeerAnswer,
          new Uint8Array(request.bytes),
        );
      }
      case 'chosen':
        return this.#lead(connection);
      default:
        request satisfies never;
    }
  }

  /** The worker after this one is to get sums on `connection`. */
  #lead(connection: Connection): void {
    this.#candidates.delete(connection);
    for (const other of this.#candidates.keys()) other.close();
    this.#next = connection;
    connection.handlers = {
      onFrame: () => {},
      onClose: (error) => this.#break('next', error?.message ?? 'it closed the connection'),
    };
    this.#proceed();
  }

  /** The worker before this one is to send sums on `connection`. */
  #follow(connection: Connection, link: LinkSpeed | undefined): void {
    this.#previous = connection;
    this.#link = link;
    connection.handlers = {
      onFrame: (header) => this.#takeAnswer(parsePeerAnswer(header, connection.peer)),
      onClose: (error) => this.#break('previous', error?.message ?? 'it closed the connection'),
    };
    this.#proceed();
  }

  #takeAnswer(answer: PeerAnswer): void {
    switch (answer.kind) {
      case 'refused':
        return this.#break('previous', answer.reason);
      // The one may come twice, the other too late to count.
      case 'welcome':
      case 'probed':
        return;
      case 'connected':
        this.#isReached = true;
        return this.#proceed();
      case 'begin':
        if (!this.#isConnected) throw new ProtocolError('a worker begins before all are connected');
        return this.#begin();
      default:
        answer satisfies never;
    }
  }

  /** Hands on that all up to here are connected. Back at the first member it has all begin. */
  #proceed(): void {
    const hasBoth = this.#previous !== undefined && this.#next !== undefined;
    if (!hasBoth || this.#collective !== undefined) return;
    const isFirst = this.#index === 0;
    if (!this.#isConnected && (isFirst || this.#isReached)) {
      this.#isConnected = true;
      this.#next?.send({ kind: 'connected' } satisfies PeerAnswer);
    }
    if (isFirst && this.#isReached) this.#begin();
  }

  /** All are ready for sums once it has reached them, in the order of the ring. */
  #begin(): void {
    const [previous, next] = [this.#previous, this.#next];
    if (previous === undefined || next === undefined) return;
    const { ring, makeCollective } = this.#options;
    const size = ring.members.length;
    if (this.#index < size - 1) next.send({ kind: 'begin' } satisfies PeerAnswer);
    try {
      this.#collective = makeCollective({
        index: this.#index,
        size,
        neighbours: { previous, next },
        onBroken: (error, neighbour) => this.#break(neighbour, error.message),
      });
    } catch (error) {
      return this.#break('previous', messageOf(error));
    }
    const agreed = (): void => {
      this.#deadline.cancel();
      this.#isAgreed = true;
      this.#options.onStanding();
    };
    if (this.#collective.whenAgreed === undefined) agreed();
    else this.#collective.whenAgreed(agreed);
  }

  /** Who is connected to both neighbours waits a second time: the others say who is missing. */
  #giveUp(isLast = false): void {
    const [hasPrevious, hasNext] = [this.#previous !== undefined, this.#next !== undefined];
    if (hasPrevious && hasNext && !isLast) {
      this.#deadline = this.#options.clock.after(ANSWER_MS, () => this.#giveUp(true));
      return;
    }
    const missing = hasPrevious && !hasNext ? 'next' : 'previous';
    this.#break(missing, `no answer for ${ANSWER_MS / 1000} s`);
  }

  #break(neighbour: keyof Neighbours, reason: string): void {
    if (this.#isOver) return;
    this.close();
    this.#options.onBroken(this.#placeOf(neighbour), reason);
  }

  /** A neighbour's place in the group. */
  #placeOf(neighbour: keyof Neighbours): number {
    const { members } = this.#options.ring;
    const index = this.#index + (neighbour === 'next' ? 1 : -1);
    return members.at(index % members.length) ?? 0;
  }
}
