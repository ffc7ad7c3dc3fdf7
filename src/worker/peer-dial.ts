/**
 * The way to the worker before this one in the ring: all its doors are tried, and of those behind
 * which it is the one is taken whose bytes come fastest.
 */
import type { Clock, Timer } from '../base/clock.ts';
import { ProtocolError } from '../base/errors.ts';
import type { LinkSpeed } from '../plan/sum-cost.ts';
import type { Group } from '../protocol/messages.ts';
import {
  type Door,
  parsePeerAnswer,
  PEER_LIMITS,
  PEER_PROTOCOL,
  type PeerAnswer,
  type PeerHello,
  type PeerRequest,
} from '../protocol/peer-messages.ts';
import { type Connection, GREETING_LIMITS } from '../transport/connection.ts';
import { LinkProbe } from './link-probe.ts';
import type { PeerNetwork } from './peer-network.ts';

/** How long other doors are waited for once it has answered at one. */
const PATIENCE_MS = 100;

/** What is dialled, and who hears of it: one of the two, once. */
export interface PeerDialOptions {
  readonly group: Pick<Group, 'generation' | 'secret' | 'index' | 'sumBytes'>;
  /** Of the worker that is dialled. */
  readonly doors: readonly Door[];
  /** Else the first door behind which it is will do. */
  readonly isMeasured: boolean;
  readonly network: Pick<PeerNetwork, 'connect'>;
  readonly clock: Clock;
  /** It expects nothing more than the words of the ring. */
  readonly onChosen: (connection: Connection, link: LinkSpeed | undefined) => void;
  readonly onFailed: (reason: string) => void;
}

/**
 * A door:
 *   dialling  nobody has answered yet
 *   greeting  somebody is there
 *   welcome   it is the worker before this one
 *   measured  and its bytes come so fast
 *   gone      nobody is there, or it is somebody else
 */
type Way =
  | { readonly stage: 'dialling' }
  | { readonly stage: 'greeting' | 'welcome'; readonly connection: Connection }
  | { readonly stage: 'measured'; readonly connection: Connection; readonly link: LinkSpeed }
  | { readonly stage: 'gone'; readonly reason: string };

/** Dials until a connection is chosen, all have failed, or it is closed. */
export class PeerDial {
  readonly #options: PeerDialOptions;
  /** In the order of the doors. */
  readonly #ways: Way[];
  /** That of the door which is being measured. */
  #probe: { readonly index: number; readonly probe: LinkProbe } | undefined;
  #patience: Timer | undefined;
  #isPatient = true;
  #isOver = false;

  constructor(options: PeerDialOptions) {
    const { doors, network } = options;
    this.#options = options;
    this.#ways = doors.map(() => ({ stage: 'dialling' }));
    for (const [index, door] of doors.entries())
      network.connect(
        door,
        (connection) => this.#greet(index, connection),
        (reason) => this.#lose(index, reason),
      );
  }

  /** Ends every connection; nobody is called back any more. */
  close(): void {
    this.#end(undefined);
  }

  #greet(index: number, connection: Connection): void {
    if (this.#isOver) return connection.destroy();
    const { generation, secret, index: place } = this.#options.group;
    this.#ways[index] = { stage: 'greeting', connection };
    connection.limits = GREETING_LIMITS;
    connection.handlers = {
      onFrame: (header) => this.#take(index, connection, parsePeerAnswer(header, connection.peer)),
      onClose: (error) => this.#lose(index, error?.message ?? 'it closed the connection'),
    };
    const { version } = PEER_PROTOCOL;
    const hello = { kind: 'hello', protocol: version, channel: 'peer' } as const;
    connection.send({ ...hello, generation, secret, index: place } satisfies PeerHello);
  }

  #take(index: number, connection: Connection, answer: PeerAnswer): void {
    switch (answer.kind) {
      case 'refused':
        connection.close();
        return this.#lose(index, answer.reason);
      case 'welcome':
        return this.#takeWelcome(index, connection, answer.generation);
      case 'probed':
        if (this.#probe?.index === index) this.#probe.probe.take();
        return;
      case 'connected':
      case 'begin':
        throw new ProtocolError('a worker goes on before it was chosen');
      default:
        answer satisfies never;
    }
  }

  #takeWelcome(index: number, connection: Connection, generation: number): void {
    const { group, isMeasured } = this.#options;
    if (generation !== group.generation)
      throw new ProtocolError(`a worker of generation ${generation} has answered`);
    // The same may come twice.
    if (this.#ways[index]?.stage !== 'greeting') return;
    this.#ways[index] = { stage: 'welcome', connection };
    connection.limits = PEER_LIMITS;
    if (!isMeasured) return this.#choose(connection, undefined);
    this.#proceed();
  }

  #lose(index: number, reason: string): void {
    if (this.#isOver) return;
    this.#ways[index] = { stage: 'gone', reason };
    if (this.#probe?.index === index) {
      this.#probe.probe.close();
      this.#probe = undefined;
    }
    const reasons = this.#ways.flatMap((way) => (way.stage === 'gone' ? [way.reason] : []));
    if (reasons.length < this.#ways.length) return this.#proceed();
    this.#end(undefined);
    this.#options.onFailed(reasons[0] ?? reason);
  }

  /** Measures the doors behind which it is, one after the other; then it takes the fastest. */
  #proceed(): void {
    if (this.#probe !== undefined) return;
    const isThere = this.#ways.some(({ stage }) => stage === 'welcome' || stage === 'measured');
    if (!isThere || this.#isWaiting()) return;
    const index = this.#ways.findIndex(({ stage }) => stage === 'welcome');
    const way = this.#ways[index];
    if (way?.stage === 'welcome') return this.#measure(index, way.connection);
    const measured = this.#ways.filter((one) => one.stage === 'measured');
    const best = measured.reduce((a, b) => (b.link.bytesPerSecond > a.link.bytesPerSecond ? b : a));
    this.#choose(best.connection, best.link);
  }

  /** Whether other doors are still to answer. */
  #isWaiting(): boolean {
    const isOpen = this.#ways.some(({ stage }) => stage === 'dialling' || stage === 'greeting');
    if (!isOpen || !this.#isPatient) return false;
    this.#patience ??= this.#options.clock.after(PATIENCE_MS, () => {
      this.#isPatient = false;
      this.#proceed();
    });
    return true;
  }

  #measure(index: number, connection: Connection): void {
    const { clock, group } = this.#options;
    const probe = new LinkProbe({
      clock,
      sumBytes: group.sumBytes,
      send: (request) => connection.send(request satisfies PeerRequest),
      onMeasured: (link) => {
        this.#probe = undefined;
        this.#ways[index] = { stage: 'measured', connection, link };
        this.#proceed();
      },
    });
    this.#probe = { index, probe };
  }

  #choose(connection: Connection, link: LinkSpeed | undefined): void {
    this.#end(connection);
    connection.send({ kind: 'chosen' } satisfies PeerRequest);
    this.#options.onChosen(connection, link);
  }

  /** Ends every connection but one. */
  #end(kept: Connection | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#patience?.cancel();
    this.#probe?.probe.close();
    for (const way of this.#ways)
      if ('connection' in way && way.connection !== kept) way.connection.close();
  }
}
