/** Why workers cannot add up among themselves as is wanted. */
import type { BodyName } from '../../collectives/body-names.ts';
import { doorsFor } from '../../membership/doors.ts';
import type { Member } from '../../membership/member.ts';
import { type RingPlan, ringsAt } from './rings.ts';

/** Hosts that a message names. */
const MAX_NAMED = 4;

/** Why members, in the order of their places, cannot add up by `body`; undefined if they can. */
export function obstacleTo(
  body: BodyName,
  placed: readonly Member[],
  rings: readonly RingPlan[],
): string | undefined {
  return (body === 'shm' ? apart(placed) : undefined) ?? unreachable(placed, rings);
}

/** Names which of them have no memory in common. */
function apart(placed: readonly Member[]): string | undefined {
  const ranks = new Map<string, number[]>();
  for (const { hello, rank } of placed)
    ranks.set(hello.host, [...(ranks.get(hello.host) ?? []), rank]);
  if (ranks.size < 2) return undefined;
  const named = [...ranks]
    .slice(0, MAX_NAMED)
    .map(([host, some]) => `${some.length > 1 ? 'ranks' : 'rank'} ${some.join(', ')} on ${host}`);
  const more = ranks.size - named.length;
  return (
    `--collective shm is for workers of one machine, and there are ${named.join('; ')}` +
    `${more > 0 ? `; and ${more} more machines` : ''}. Use auto, which adds up in memory on each ` +
    'machine and in a ring between them, or ring'
  );
}

/** Names a pair of neighbours of which one has no door for the other. */
function unreachable(placed: readonly Member[], rings: readonly RingPlan[]): string | undefined {
  for (const [place, member] of placed.entries())
    for (const { previous } of ringsAt(rings, place)) {
      const other = placed[previous];
      if (other !== undefined && doorsFor(member, other).length === 0)
        return `rank ${other.rank} has no door that rank ${member.rank} could reach`;
    }
  return undefined;
}
