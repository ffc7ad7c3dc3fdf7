/**
 * All-reduce of a group on several hosts. The ranks of a host add up among themselves, and one of
 * each, its leader, adds up what came of that with the leaders of the other hosts: so each link
 * between hosts carries the sum of a host, however many ranks it has. The leader then hands the total
 * to its host as a second sum, to which the others add zeros.
 *
 * Both parts are collectives themselves. Their totals must stay unchanged until this rank begins the
 * next sum there (`isTotalKept`), since they are what it adds in the other one.
 */
import { invariant } from '../base/errors.ts';
import type { Collective } from './collective.ts';

/** What a rank takes part in: at least one of the two. */
export interface HostsParts {
  /** With the other ranks of its host; absent where it is alone there. */
  readonly host?: Collective | undefined;
  /** With the leaders of the other hosts; absent unless it is one. */
  readonly leaders?: Collective | undefined;
}

/** A rank of a group on several hosts. */
export class Hosts implements Collective {
  readonly #parts: HostsParts;
  /** What ranks that do not lead add to the total of all hosts. */
  #zeros: Uint8Array | undefined;

  /** Takes the collectives over. */
  constructor(parts: HostsParts) {
    invariant(parts.host !== undefined || parts.leaders !== undefined, 'a rank is not alone');
    this.#parts = parts;
  }

  reduce(
    sequence: number,
    own: Uint8Array,
    done: (total: Uint8Array) => void,
    onHeard?: () => void,
  ): void {
    const { host, leaders } = this.#parts;
    if (host === undefined) return leaders?.reduce(sequence, own, done, onHeard);
    const share = (total: Uint8Array): void => host.reduce(2 * sequence + 1, total, done);
    const handOn = (sum: Uint8Array): void => {
      if (leaders !== undefined) return leaders.reduce(sequence, sum, share);
      share((this.#zeros ??= new Uint8Array(own.length)));
    };
    host.reduce(2 * sequence, own, handOn, onHeard);
  }

  close(): void {
    this.#parts.host?.close();
    this.#parts.leaders?.close();
  }
}
