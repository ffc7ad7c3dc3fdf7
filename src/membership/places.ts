/**
 * How many may be at the door and inside, and who gives way when there are too many: strangers are
 * many from few addresses, and honest workers are quick to say who they are and to be ready.
 */
import { addressOfPeer, isLoopback } from '../transport/loopback.ts';
import type { Member } from './member.ts';

/** Members of a run. */
const MAX_MEMBERS = 256;
/** Connections that have not said who they are; of this machine there may be so many. */
const MAX_UNGREETED = 512;
/** The same of any other address: three of each of its workers, when all come at once. */
const MAX_UNGREETED_PER_ADDRESS = 64;
/** Members of another machine that are not ready. */
const MAX_LOADING_PER_ADDRESS = 32;
/** A worker opens all of its connections as soon as it is welcome: who has not by now may go. */
const ALONE_MS = 5_000;
/** Who is not ready by now may go when others wait for its place. */
const LOADING_MS = 30_000;

/** Whether there is a place for a newcomer. */
export type Place =
  | { readonly kind: 'free' }
  /** It is the newcomer's once `from` is gone. */
  | { readonly kind: 'taken over'; readonly from: Member }
  | { readonly kind: 'full'; readonly reason: string };

/** Finds a place for who knocks from `peer`. */
export function findPlace(members: readonly Member[], peer: string, nowMs: number): Place {
  const address = addressOfPeer(peer);
  const loading = members.filter(({ isLoaded }) => !isLoaded);
  const neighbours = loading.filter(({ link }) => addressOfPeer(link.peer) === address);
  const isFull = members.length >= MAX_MEMBERS;
  const isCrowded = neighbours.length >= MAX_LOADING_PER_ADDRESS && !isLoopback(address);
  if (!isFull && !isCrowded) return { kind: 'free' };
  const slow = (isFull ? loading : neighbours).filter((member) => isSlow(member, nowMs));
  const from = firstOfBusiest(slow);
  if (from !== undefined) return { kind: 'taken over', from };
  const whose = isFull
    ? `the run has ${members.length} workers`
    : `${neighbours.length} workers of this address are not ready yet`;
  return { kind: 'full', reason: `full for now: ${whose}. Try again later.` };
}

/**
 * Finds the connection that must go if there are too many of those who have not said who they are,
 * oldest first: the oldest of the newest one's address, or of all. Who is honest is among the
 * newest, since it says so at once.
 */
export function crowdedOut<C extends { readonly peer: string }>(
  waiting: readonly C[],
): C | undefined {
  if (waiting.length <= MAX_UNGREETED_PER_ADDRESS) return undefined;
  const address = addressOfPeer(waiting.at(-1)?.peer ?? '');
  const neighbours = waiting.filter(({ peer }) => addressOfPeer(peer) === address);
  if (neighbours.length > MAX_UNGREETED_PER_ADDRESS && !isLoopback(address)) return neighbours[0];
  return waiting.length > MAX_UNGREETED ? waiting[0] : undefined;
}

function isSlow({ link, welcomedMs }: Member, nowMs: number): boolean {
  return nowMs - welcomedMs > (link.isWhole ? LOADING_MS : ALONE_MS);
}

function firstOfBusiest(all: readonly Member[]): Member | undefined {
  const byAddress = new Map<string, Member[]>();
  for (const one of all) {
    const address = addressOfPeer(one.link.peer);
    const crowd = byAddress.get(address);
    if (crowd === undefined) byAddress.set(address, [one]);
    else crowd.push(one);
  }
  const crowds = [...byAddress.values()].sort((a, b) => b.length - a.length);
  return crowds[0]?.[0];
}
