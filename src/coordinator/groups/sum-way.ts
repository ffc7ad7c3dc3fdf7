/** Which way the sums of a group should take, by what its members have measured. */
import type { BodyName } from '../../collectives/body-names.ts';
import type { Member } from '../../membership/member.ts';
import type { RunEvent } from '../../metrics/events.ts';
import {
  isStarBetter,
  type LinkSpeed,
  predictRingMs,
  predictSharedMs,
  predictStarMs,
} from '../../plan/sum-cost.ts';

/** How sums travel, what that is predicted to take in a step, and why it was chosen. */
export type SumWay = Required<
  Pick<Extract<RunEvent, { kind: 'collective-chosen' }>, 'collective' | 'predictedMs' | 'reason'>
>;

/** What is known of members, in the order of their places. */
export interface SumWayFacts {
  readonly members: readonly Member[];
  readonly bytes: number;
  /** From the one before each in its ring; absent where it was not measured. */
  readonly links: ReadonlyMap<Member, LinkSpeed>;
  /** Milliseconds that the coordinator needed, if they were measured. */
  readonly starMs: number | undefined;
  /** Whether the coordinator may be better. */
  readonly isFree: boolean;
}

/**
 * What is predicted for a group that adds up by `body`, or for the coordinator if that is better;
 * undefined where links were not measured.
 */
export function wayOf(body: BodyName, facts: SumWayFacts): SumWay | undefined {
  const { members, bytes, starMs, isFree } = facts;
  const sharing = body === 'ring' ? 1 : mostOnOneHost(members);
  if (body === 'shm') {
    const predictedMs = predictSharedMs(bytes, sharing);
    return { collective: body, predictedMs, reason: `predicted ${inMs(predictedMs)} a step` };
  }
  const linked = body === 'hosts' ? firstOfEachHost(members) : members;
  const links = linked.flatMap((member) => facts.links.get(member) ?? []);
  if (links.length < linked.length) return undefined;
  // The total comes to the others of a host as the second sum that is added up there.
  const localMs = body === 'hosts' ? 2 * predictSharedMs(bytes, sharing) : 0;
  const groupMs = predictRingMs(bytes, links) + localMs;
  const throughMs = starMs ?? assumeStarMs(bytes, links, members.length);
  const slowest = slowestIn(linked, links);
  if (isFree && isStarBetter(groupMs, throughMs)) {
    const among = body === 'hosts' ? 'from host to host' : 'in a ring';
    const reason = `predicted ${inMs(throughMs)} a step, ${among} ${inMs(groupMs)} (${slowest})`;
    return { collective: 'star', predictedMs: throughMs, reason };
  }
  const assumed = starMs === undefined ? ', if its link is as fast' : '';
  const reason =
    `predicted ${inMs(groupMs)} a step (${slowest}); ` +
    `through the coordinator ${inMs(throughMs)}${assumed}`;
  return { collective: body, predictedMs: groupMs, reason };
}

/** The members that connect their hosts. */
export function firstOfEachHost(members: readonly Member[]): Member[] {
  const hosts = members.map(({ hello }) => hello.host);
  return members.filter((_, place) => hosts.indexOf(hosts[place] ?? '') === place);
}

/** How many of them share a machine, at most. */
export function mostOnOneHost(members: readonly Member[]): number {
  const countOf = ({ hello }: Member): number =>
    members.filter((other) => other.hello.host === hello.host).length;
  return Math.max(...members.map(countOf));
}

/**
 * Nobody has measured what lies between workers and coordinator: each host is taken to reach it as
 * fast as a neighbour, and the coordinator to be as fast as the fastest of them.
 */
function assumeStarMs(bytes: number, links: readonly LinkSpeed[], workers: number): number {
  const fastest = Math.max(...links.map(({ bytesPerSecond }) => bytesPerSecond));
  const own = links.map((link, i) => {
    const onward = links[(i + 1) % links.length] ?? link;
    return onward.bytesPerSecond > link.bytesPerSecond ? onward : link;
  });
  const others = Array.from({ length: workers - own.length }, (_, i) => own[i % own.length]);
  return predictStarMs(bytes, [...own, ...others.flatMap((link) => link ?? [])], fastest);
}

function slowestIn(members: readonly Member[], links: readonly LinkSpeed[]): string {
  const rates = links.map(({ bytesPerSecond }) => bytesPerSecond);
  const index = rates.indexOf(Math.min(...rates));
  const [from, to] = [members.at(index - 1)?.rank, members[index]?.rank];
  const rate = shortly(((rates[index] ?? 0) * 8) / 1e6);
  const roundTripMs = Math.max(...links.map((link) => link.roundTripMs));
  return (
    `slowest link ${rate} Mbit/s, from rank ${from} to rank ${to}; ` +
    `at most ${inMs(roundTripMs)} there and back`
  );
}

function inMs(ms: number): string {
  return `${shortly(ms)} ms`;
}

function shortly(value: number): string {
  if (value >= 10) return String(Math.round(value));
  return value >= 1 ? value.toFixed(1) : value.toPrecision(1);
}
