/** How the members of a group are connected. */
import type { BodyName } from '../../collectives/body-names.ts';
import type { Member } from '../../membership/member.ts';
import type { GroupRing } from '../../protocol/messages.ts';

/** A ring without what its members are told apart. */
export type RingPlan = Pick<GroupRing, 'kind' | 'members'>;

/** In the order of their places: those of one host are neighbours. */
export function inPlaces(members: readonly Member[]): Member[] {
  return [...members].sort((a, b) => compare(a.hello.host, b.hello.host) || a.rank - b.rank);
}

/** The rings of a group that adds up by `body`, whose members are on `hosts`, by their places. */
export function ringsOf(body: BodyName, hosts: readonly string[]): RingPlan[] {
  if (body !== 'hosts') return [{ kind: 'all', members: [...hosts.keys()] }];
  const places = new Map<string, number[]>();
  for (const [place, host] of hosts.entries())
    places.set(host, [...(places.get(host) ?? []), place]);
  const leaders = [...places.values()].flatMap((members) => members.slice(0, 1));
  return [
    ...[...places.values()].map((members) => ({ kind: 'host', members }) as const),
    { kind: 'leaders', members: leaders } as const,
  ].filter(({ members }) => members.length > 1);
}

/** The rings of those that the member at `place` is in, with the place of the one before it. */
export function ringsAt(
  rings: readonly RingPlan[],
  place: number,
): { readonly ring: RingPlan; readonly previous: number }[] {
  return rings.flatMap((ring) => {
    const index = ring.members.indexOf(place);
    const previous = ring.members.at(index - 1);
    return index < 0 || previous === undefined ? [] : [{ ring, previous }];
  });
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
