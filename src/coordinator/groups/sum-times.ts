/** What is known of the time that sums of some members need, from what they have measured. */
import type { CollectiveChoice } from '../../collectives/body-names.ts';
import type { Member } from '../../membership/member.ts';
import { type LinkSpeed, predictRingMs, predictSharedMs } from '../../plan/sum-cost.ts';
import type { CountedPart } from '../steps/pass-listener.ts';
import { firstOfEachHost, mostOnOneHost } from './sum-way.ts';

/** What passes through the coordinator took a member's link. */
interface LinkTime {
  pass: number;
  /** Of that pass, so far. */
  passMs: number;
  /** The shortest of the passes before it; undefined before the second of them is over. */
  leastMs: number | undefined;
  isFirst: boolean;
}

/** A link as a member of a group has measured it. */
interface MeasuredLink {
  readonly from: Member;
  readonly speed: LinkSpeed;
}

/** How long sums are on their way: to the coordinator, with totals from it, and among members. */
export class SumTimes {
  readonly #times = new WeakMap<Member, LinkTime>();
  /** Those of the last group, each to a member from the one before it. */
  #links: ReadonlyMap<Member, MeasuredLink> = new Map();

  /** Members of a group, in the order of their places, have measured their links. */
  learn(members: readonly Member[], links: ReadonlyMap<Member, LinkSpeed>): void {
    const connected = members.filter((member) => links.has(member));
    this.#links = new Map(
      connected.flatMap((member, i) => {
        const [from, speed] = [connected.at(i - 1), links.get(member)];
        return from === undefined || speed === undefined
          ? []
          : [[member, { from, speed }] as const];
      }),
    );
  }

  /** Learns from a contribution. */
  counted({ member, spec, contribution, turnaroundMs }: CountedPart): void {
    if (spec.work !== 'train' || spec.reduction !== 'star') return;
    const ms = Math.max(0, turnaroundMs - contribution.busyMs);
    const time = this.#times.get(member);
    if (time === undefined)
      this.#times.set(member, { pass: spec.id, passMs: ms, leastMs: undefined, isFirst: true });
    else if (time.pass === spec.id) time.passMs = Math.max(time.passMs, ms);
    else {
      // No total comes before the first sum.
      if (!time.isFirst) time.leastMs = Math.min(time.leastMs ?? Infinity, time.passMs);
      time.isFirst = false;
      time.pass = spec.id;
      time.passMs = ms;
    }
  }

  /** Of the slowest of `members`; undefined unless it is known of all. */
  starMsOf(members: readonly Member[]): number | undefined {
    const times = members.flatMap((member) => this.#times.get(member)?.leastMs ?? []);
    return times.length === members.length ? Math.max(...times) : undefined;
  }

  /** The same from whatever there is, also from a sum alone. */
  reachMsOf(members: readonly Member[]): number | undefined {
    const times = members.flatMap((member) => {
      const time = this.#times.get(member);
      return time === undefined ? [] : [time.leastMs ?? time.passMs];
    });
    return times.length === members.length ? Math.max(...times) : undefined;
  }

  /**
   * Milliseconds that adding up `bytes` takes `members`, who are in the order of their places, the
   * better way if both are allowed; undefined if that is not known. A link that was not measured is
   * taken to be as good as the worst between others of them.
   */
  predictMs(
    members: readonly Member[],
    bytes: number,
    collective: CollectiveChoice,
  ): number | undefined {
    if (members.length < 2) return 0;
    const ways = [
      ...(collective === 'star' ? [] : [this.#groupMs(members, bytes)]),
      ...(collective === 'star' || collective === 'auto' ? [this.starMsOf(members)] : []),
    ].filter((ms) => ms !== undefined);
    return ways.length === 0 ? undefined : Math.min(...ways);
  }

  #groupMs(members: readonly Member[], bytes: number): number | undefined {
    const linked = firstOfEachHost(members);
    const sharing = mostOnOneHost(members);
    const localMs = sharing > 1 ? predictSharedMs(bytes, sharing) : 0;
    if (linked.length < 2) return localMs;
    const known = linked.flatMap((member) => {
      const link = this.#links.get(member);
      return link !== undefined && linked.includes(link.from) ? [link.speed] : [];
    });
    const [first] = known;
    if (first === undefined) return undefined;
    const worst = known.reduce((a, b) => (b.bytesPerSecond < a.bytesPerSecond ? b : a), first);
    const links = linked.map((_, i) => known[i] ?? worst);
    // The total comes to the others of a host as a second sum.
    return predictRingMs(bytes, links) + 2 * localMs;
  }
}
