/** This worker among others: the group it is in, and what is to be added up there. */
import type { Clock } from '../base/clock.ts';
import { ProtocolError } from '../base/errors.ts';
import type { AttemptNote } from '../plan/attempt-note.ts';
import {
  type Commit,
  type Group,
  MAX_GRANTED_STEPS,
  type MicroBatchRecord,
  type Reduce,
} from '../protocol/messages.ts';
import type { PeerHello } from '../protocol/peer-messages.ts';
import type { Connection } from '../transport/connection.ts';
import type { CoordinatorLink } from './coordinator-link.ts';
import type { AddingTimes, PassWork } from './pass-work.ts';
import { type Admission, PeerDoor } from './peer-door.ts';
import { checkRings, type LentSeat, PeerGroup } from './peer-group.ts';
import type { PeerNetwork } from './peer-network.ts';
import type { StateDonor } from './state-donor.ts';

const NOTHING = new Uint8Array(0);
/** Passes that the coordinator may not have heard of are fewer. */
const MAX_NOTES = 4 * MAX_GRANTED_STEPS;

/** What `Peers` needs. */
export interface PeersOptions {
  readonly clock: Clock;
  /** Absent: there is no way to other workers. */
  readonly network: PeerNetwork | undefined;
  readonly link: CoordinatorLink;
  readonly work: PassWork;
  /** Gives states to visitors. */
  readonly donor: Pick<StateDonor, 'admit'>;
  /** The total of a step is there, for as long as this runs. */
  readonly onTotal: (commit: Commit, total: Uint8Array) => void;
}

/** One group after the other. */
export class Peers {
  readonly #options: PeersOptions;
  readonly #door: PeerDoor;
  #group: PeerGroup | undefined;
  #lastGeneration = -1;
  /** What is to be added up as soon as this worker knows of the pass. */
  #request: Reduce | undefined;
  #requestedPass = -1;
  /** The last pass that was added up in this generation. */
  #addedPass: number | null = null;
  /** What all told each other in the last passes of granted steps. */
  readonly #notes: { readonly pass: number; readonly bytes: Uint8Array }[] = [];

  constructor(options: PeersOptions) {
    const { clock, network, donor } = options;
    this.#options = options;
    this.#door = new PeerDoor(clock, {
      admit: (connection, hello) => this.#admit(connection, hello),
      give: (connection, hello) => donor.admit(connection, hello),
      onRefused: network?.onRefused,
    });
    network?.onVisitor((connection) => this.#door.receive(connection));
  }

  /** Forms a group in place of the one before. */
  form(group: Group, tensors: number, mostBytes: number): void {
    const { clock, network, link } = this.#options;
    const { generation } = group;
    // The same may come twice.
    if (network === undefined || generation <= this.#lastGeneration) return;
    if (group.sumBytes > mostBytes)
      throw new ProtocolError(`group: expected sums of at most ${mostBytes} bytes`);
    checkRings(group);
    this.#leave();
    this.#lastGeneration = generation;
    this.#group = new PeerGroup({
      group,
      tensors,
      network,
      clock,
      onStanding: (speed) =>
        link.send({ kind: 'grouped', generation, ...(speed && { link: speed }) }),
      onBroken: (place, reason) =>
        link.send({ kind: 'grouped', generation, problem: { place, reason } }),
    });
    this.#door.reconsider();
  }

  /**
   * Where an engine adds up with the present group, if that has memory in common: to be given back
   * when the engine has let go of it. Undefined unless it is of `generation`.
   */
  lend(generation: number): LentSeat | undefined {
    const group = this.#group;
    return group?.generation === generation ? group.lend() : undefined;
  }

  /**
   * The engine has added up a pass of granted steps. Gives what each worker tells of its part;
   * undefined unless the present group is of `generation`.
   */
  note(generation: number, pass: number, notes: Uint8Array): readonly AttemptNote[] | undefined {
    const group = this.#group;
    if (group?.generation !== generation) return undefined;
    this.#noteAdded(pass, notes);
    return group.read(notes);
  }

  /** Where this worker stands in the present group; undefined unless it is of `generation`. */
  placeIn(generation: number): number | undefined {
    const group = this.#group;
    return group?.isStanding === true && group.generation === generation
      ? group.facts.index
      : undefined;
  }

  /**
   * The group is over: says how far it came, and what it did for the pass under way. `heard` is the
   * last pass of granted steps that the coordinator knows to be added up.
   */
  fence(generation: number, heard: number | undefined): void {
    const { link, work } = this.#options;
    const isPresent = generation === this.#group?.generation;
    const pass = isPresent ? this.#addedPass : null;
    const notes = heard === undefined ? NOTHING : this.#notesAfter(heard);
    if (isPresent) this.#leave();
    link.sendData({ kind: 'fenced', generation, pass }, notes);
    if (!isPresent || pass === work.groupPass) return;
    // What is under way of granted steps is short, and is computed again.
    if (heard === undefined) work.leaveGroup();
    else work.drop();
  }

  /** All micro-batches of a pass are in: it is added up. */
  request(request: Reduce): void {
    // The same may come twice.
    if (request.pass <= this.#requestedPass) return;
    this.#requestedPass = request.pass;
    this.#request = request;
    this.advance();
  }

  /** Adds up what was asked for, once the plan of it is there. */
  advance(): void {
    const { work, link, onTotal } = this.#options;
    const request = this.#request;
    const group = this.#group;
    if (request === undefined || group?.isStanding !== true) return;
    const { pass } = request;
    if (pass !== work.groupPass) return;
    this.#request = undefined;
    this.#addUp(group, pass, [], (total, _, adding) => {
      this.#addedPass = pass;
      link.sendData({ kind: 'reduced', pass, ...adding, ...work.takeWaited() });
      onTotal({ ...request, kind: 'commit' }, total);
    });
  }

  /**
   * Adds up a pass of granted steps, in which this worker has `records`. Gives the total, for as long
   * as `done` runs, and what each worker tells of its part.
   */
  add(
    pass: number,
    records: readonly MicroBatchRecord[],
    done: (total: Uint8Array, notes: readonly AttemptNote[], adding: AddingTimes) => void,
  ): void {
    const { work } = this.#options;
    const group = this.#group;
    if (group === undefined) return;
    this.#addUp(group, pass, records, (total, notes, adding) => {
      work.noteAdding(adding);
      this.#noteAdded(pass, notes.slice());
      done(total, group.read(notes), adding);
    });
  }

  /** A later generation may be one that this worker has not been told of yet. */
  #admit(connection: Connection, hello: PeerHello): Admission {
    const group = this.#group;
    if (hello.generation === group?.generation) return group.admit(connection, hello);
    return hello.generation > this.#lastGeneration
      ? 'waiting'
      : { refused: `generation ${hello.generation} is over: the last is ${this.#lastGeneration}` };
  }

  #addUp(
    group: PeerGroup,
    pass: number,
    records: readonly MicroBatchRecord[],
    done: (total: Uint8Array, notes: Uint8Array, adding: AddingTimes) => void,
  ): void {
    const { clock, work } = this.#options;
    const sinceMs = clock.now();
    let waitPeersMs = 0;
    group.reduce(
      pass,
      work.ownSum(group.facts.sumBytes),
      records,
      (total, notes) => done(total, notes, { addingMs: clock.now() - sinceMs, waitPeersMs }),
      () => (waitPeersMs = clock.now() - sinceMs),
    );
  }

  #noteAdded(pass: number, bytes: Uint8Array): void {
    this.#addedPass = pass;
    this.#notes.push({ pass, bytes });
    if (this.#notes.length > MAX_NOTES) this.#notes.shift();
  }

  #notesAfter(heard: number): Uint8Array {
    const later = this.#notes.filter(({ pass }) => pass > heard);
    const bytes = new Uint8Array(later.reduce((sum, note) => sum + note.bytes.length, 0));
    let offset = 0;
    for (const note of later) {
      bytes.set(note.bytes, offset);
      offset += note.bytes.length;
    }
    return bytes;
  }

  /** Leaves the group, and lets nobody in. */
  close(): void {
    this.#leave();
    this.#door.close();
  }

  #leave(): void {
    this.#group?.close();
    this.#group = undefined;
    this.#request = undefined;
    this.#addedPass = null;
    this.#notes.length = 0;
  }
}
