/**
 * What adding up the sums of one step is predicted to take, each way that they can travel. What it
 * did take is watched by `ExchangeWatch`.
 */

/** How fast bytes come over one connection, one way. */
export interface LinkSpeed {
  readonly roundTripMs: number;
  readonly bytesPerSecond: number;
}

/** The coordinator has its uses: a group keeps its sums unless that takes so many times longer. */
const CLEARLY = 1.5;
/** Or not so much longer. */
const WORTH_MS = 10;

/** Bytes that two ranks of one machine add up in a second: 20 ms for 100 MiB. */
const SHARED_BYTES_PER_SECOND = 5.2e9;
/** What they need to meet, however little it is. */
const SHARED_MEETING_MS = 0.03;

/**
 * Milliseconds in a ring, of which `links` are all connections.
 *
 * Cost: 2 (n - 1) / n of the bytes over each connection, at the pace of the slowest; and each of
 * 2 (n - 1) rounds is as late as the connection that it waits for: each of them 2 (n - 1) / n times.
 */
export function predictRingMs(bytes: number, links: readonly LinkSpeed[]): number {
  const rounds = 2 * (links.length - 1);
  const slowest = Math.min(...links.map(({ bytesPerSecond }) => bytesPerSecond));
  const lateMs = links.reduce((sum, { roundTripMs }) => sum + roundTripMs / 2, 0);
  return (rounds / links.length) * ((1000 * bytes) / slowest + lateMs);
}

/** Milliseconds in memory that so many ranks share: everyone adds up a part of all sums. */
export function predictSharedMs(bytes: number, ranks: number): number {
  return SHARED_MEETING_MS + (((ranks / 2) * bytes) / SHARED_BYTES_PER_SECOND) * 1000;
}

/**
 * Milliseconds through the coordinator, which workers reach over `links`, and which itself gets and
 * sends `bytesPerSecond`.
 *
 * Cost: all bytes of all workers to it, and then from it; nobody's faster than its own link.
 */
export function predictStarMs(
  bytes: number,
  links: readonly LinkSpeed[],
  bytesPerSecond: number,
): number {
  const slowest = Math.min(...links.map((link) => link.bytesPerSecond));
  const seconds = Math.max((links.length * bytes) / bytesPerSecond, bytes / slowest);
  return 2 * 1000 * seconds + Math.max(...links.map(({ roundTripMs }) => roundTripMs));
}

/** Whether sums that take a group so long had better go through the coordinator. */
export function isStarBetter(groupMs: number, starMs: number): boolean {
  return groupMs > CLEARLY * starMs && groupMs > starMs + WORTH_MS;
}
