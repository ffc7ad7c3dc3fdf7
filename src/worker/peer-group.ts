/**
 * One generation of a group of workers, as one of them sees it: the rings that it is in, and what it
 * adds up with all others once these stand.
 */
import type { Clock } from '../base/clock.ts';
import { ProtocolError } from '../base/errors.ts';
import type { Collective } from '../collectives/collective.ts';
import { Hosts } from '../collectives/hosts.ts';
import { type AttemptNote, readNotes, writeNote } from '../plan/attempt-note.ts';
import type { LinkSpeed } from '../plan/sum-cost.ts';
import type { Group, GroupRing, MicroBatchRecord } from '../protocol/messages.ts';
import type { PeerHello } from '../protocol/peer-messages.ts';
import type { GroupSeat } from '../runtime/engine.ts';
import type { Connection } from '../transport/connection.ts';
import type { Admission } from './peer-door.ts';
import type { PeerNetwork } from './peer-network.ts';
import { type PartOptions, PeerRing } from './peer-ring.ts';

/** What a group is made of, and who hears of it. */
export interface PeerGroupOptions {
  readonly group: Group;
  /** Parameters of the model. */
  readonly tensors: number;
  readonly network: PeerNetwork;
  readonly clock: Clock;
  /** Sums can be added up from now on; those of the worker before come so fast, if it was measured. */
  readonly onStanding: (link: LinkSpeed | undefined) => void;
  /** It cannot be formed, or is over, by a fault at this place of it: told once, or never. */
  readonly onBroken: (place: number, reason: string) => void;
}

/** Where an engine adds up, until it is given back. */
export interface LentSeat {
  readonly seat: GroupSeat;
  readonly giveBack: () => void;
}

/** This worker's part in a group, until it is closed. */
export class PeerGroup {
  readonly #options: PeerGroupOptions;
  readonly #rings: readonly PeerRing[];
  #collective: Collective | undefined;
  /** The own sum with the own note behind it. */
  #vector: Uint8Array | undefined;
  #isOver = false;
  #isToldBroken = false;

  constructor(options: PeerGroupOptions) {
    const { group, network, clock } = options;
    this.#options = options;
    this.#rings = group.rings.map(
      (ring) =>
        new PeerRing({
          group,
          ring,
          network,
          clock,
          sharesMemory: group.collective === 'shm' || ring.kind === 'host',
          makeCollective: (part) => this.#makePart(ring, part),
          onStanding: () => this.#begin(),
          onUnreached: (place, reason) => this.#tellBroken(place, reason),
          onBroken: (place, reason) => {
            this.close();
            this.#tellBroken(place, reason);
          },
        }),
    );
  }

  get generation(): number {
    return this.#options.group.generation;
  }

  /** What it was formed as. */
  get facts(): Group {
    return this.#options.group;
  }

  /** Whether sums can be added up. */
  get isStanding(): boolean {
    return this.#collective !== undefined && !this.#isOver;
  }

  /** Where an engine adds up granted steps; undefined unless all have memory in common. */
  lend(): LentSeat | undefined {
    const { generation, collective, index, sumBytes, noteBytes } = this.facts;
    if (!this.isStanding || collective !== 'shm' || noteBytes === 0) return undefined;
    const lent = this.#collective?.lend?.();
    if (lent === undefined) return undefined;
    const { common, giveBack } = lent;
    return { seat: { generation, common, place: index, sumBytes, noteBytes }, giveBack };
  }

  /** Takes over a connection whose other end said `hello` with this generation, or says why not. */
  admit(connection: Connection, { secret, index }: PeerHello): Admission {
    const what = `generation ${this.generation}`;
    if (secret !== this.facts.secret)
      return { refused: `${what}: expected its secret, got another` };
    const ring = this.#rings.find(({ placeAfter }) => placeAfter === index);
    const places = this.#rings.map(({ placeAfter }) => placeAfter).join(' or ');
    return (
      ring?.admit(connection) ?? {
        refused: `${what}: expected the worker at place ${places}, got that at place ${index}`,
      }
    );
  }

  /**
   * Adds up `own` with the sums of all others, and tells them of `records`, from which it comes.
   * `done` gets the total, and the notes of all, for as long as it runs; `onHeard` is called before,
   * as soon as anything of another worker is there.
   */
  reduce(
    pass: number,
    own: Uint8Array,
    records: readonly MicroBatchRecord[],
    done: (total: Uint8Array, notes: Uint8Array) => void,
    onHeard?: () => void,
  ): void {
    const { index, size, sumBytes, noteBytes } = this.facts;
    const whenDone = (all: Uint8Array): void =>
      done(all.subarray(0, sumBytes), all.subarray(sumBytes));
    if (noteBytes === 0) return this.#collective?.reduce(pass, own, whenDone, onHeard);
    // Everyone's note has a place of its own behind the sums, where the others add zeros.
    const vector = (this.#vector ??= new Uint8Array(sumBytes + size * noteBytes));
    vector.set(own);
    vector.fill(0, sumBytes);
    const offset = sumBytes + index * noteBytes;
    writeNote(records, this.#options.tensors, vector.subarray(offset, offset + noteBytes));
    this.#collective?.reduce(pass, vector, whenDone, onHeard);
  }

  /** What each worker told, in the order of their places. */
  read(notes: Uint8Array): AttemptNote[] {
    return readNotes(notes, this.facts.noteBytes, this.#options.tensors);
  }

  /** Ends every connection; nobody is called back any more. */
  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const ring of this.#rings) ring.close();
  }

  #makePart({ kind }: GroupRing, part: PartOptions): Collective {
    const { group, network } = this.#options;
    const { collective, size, sumBytes, noteBytes } = group;
    const options = { ...part, byteLength: sumBytes + size * noteBytes };
    if (collective !== 'hosts') return network.makeCollective(collective, options);
    const body = kind === 'host' ? 'shm' : 'ring';
    return network.makeCollective(body, { ...options, isTotalKept: true });
  }

  /** Sums can be added up once all rings of this worker stand. */
  #begin(): void {
    if (this.#rings.some(({ collective }) => collective === undefined)) return;
    const partIn = (kind: GroupRing['kind']): Collective | undefined =>
      this.#rings.find((ring) => ring.kind === kind)?.collective;
    this.#collective =
      partIn('all') ?? new Hosts({ host: partIn('host'), leaders: partIn('leaders') });
    this.#options.onStanding(this.#rings.find(({ link }) => link !== undefined)?.link);
  }

  #tellBroken(place: number, reason: string): void {
    if (this.#isToldBroken) return;
    this.#isToldBroken = true;
    this.#options.onBroken(place, reason);
  }
}

/** Throws: ProtocolError for a group whose rings this worker cannot be in. */
export function checkRings({ collective, index, size, rings }: Group): void {
  const kinds = rings.map(({ kind }) => kind).join();
  const expected = collective === 'hosts' ? ['host', 'leaders', 'host,leaders'] : ['all'];
  const areMembers = rings.every(
    ({ members }) =>
      members.includes(index) &&
      new Set(members).size === members.length &&
      members.every((place) => place < size),
  );
  if (!expected.includes(kinds) || !areMembers)
    throw new ProtocolError('group: expected rings of members, of which this worker is one');
}
