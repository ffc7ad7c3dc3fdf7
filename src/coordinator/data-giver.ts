/**
 * Gives the data of the run to members that lack them: piece by piece as they ask, one after the
 * other to each, while the others go on.
 */
import type { Clock } from '../base/clock.ts';
import { isSamePiece } from '../data/parcels/piece.ts';
import type { Member } from '../membership/member.ts';
import type { SendSamples } from '../protocol/messages.ts';
import type { DataSource } from './coordinator-options.ts';

/** Pieces that a member may ask for before it has the first of them; ours ask for four. */
const MAX_WAITING = 16;

/** What giving needs. */
export interface DataGiverOptions {
  readonly clock: Clock;
  /** Undefined: nothing is given. */
  readonly source: DataSource | undefined;
  readonly evict: (member: Member, reason: string) => void;
}

/** What members have asked for. */
export class DataGiver {
  readonly #options: DataGiverOptions;
  /** Of every member that waits for a piece: that one first, then what it asked for besides. */
  readonly #waiting = new WeakMap<Member, SendSamples[]>();

  /** What each has asked for last. */
  readonly #last = new WeakMap<Member, SendSamples>();

  constructor(options: DataGiverOptions) {
    this.#options = options;
  }

  /** Gives `member` a piece once it has those that it asked for before. */
  take(member: Member, request: SendSamples): void {
    // Who is ready has the data.
    if (member.isLoaded) return;
    const last = this.#last.get(member);
    // The same may come twice.
    if (last !== undefined && isSamePiece(last, request)) return;
    this.#last.set(member, request);
    const waiting = this.#waiting.get(member) ?? [];
    this.#waiting.set(member, waiting);
    if (waiting.length >= MAX_WAITING)
      return this.#options.evict(member, 'it asks for more data at once than it may');
    waiting.push(request);
    if (waiting.length === 1) this.#give(member, request);
  }

  /** The next piece is packed when this one is on its way: no more than that waits anywhere. */
  #give(member: Member, request: SendSamples): void {
    const { clock, source, evict } = this.#options;
    const { split, part, offset, byteLength } = request;
    const about = { split, part, offset, byteLength };
    const isThere = source?.read(about, ({ bytes, isPacked }) => {
      // An end of the connection is told after its flushes.
      const goOn = (): void => void clock.after(0, () => this.#giveNext(member));
      member.link.sendData({ kind: 'samples', ...about, isPacked }, bytes, goOn);
    });
    if (isThere !== true) evict(member, 'it asks for data that are not there');
  }

  #giveNext(member: Member): void {
    const waiting = this.#waiting.get(member);
    waiting?.shift();
    const [next] = waiting ?? [];
    if (next !== undefined) this.#give(member, next);
  }
}
