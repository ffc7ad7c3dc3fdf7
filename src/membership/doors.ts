import type { Door } from '../protocol/peer-messages.ts';
import { isLoopback } from '../transport/loopback.ts';
import type { Member } from './member.ts';

/** At which doors `member` might reach `other`: those of its own machine, if they share one. */
export function doorsFor({ link, hello }: Member, other: Member): Door[] {
  const { localHost } = link;
  if (localHost === undefined) return [...other.doors];
  const isNear = ({ host }: Door): boolean => isLoopback(host);
  const near = other.doors.filter(isNear);
  // It is on our machine, or looks so through a tunnel.
  if (!isLoopback(localHost)) return other.doors.filter((door) => !isNear(door));
  return other.hello.host === hello.host && near.length > 0 ? near : [...other.doors];
}
