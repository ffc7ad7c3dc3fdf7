/** Who listens there does so in every network of its machine. */
export const EVERY_ADDRESS = '0.0.0.0';

/** Whether who listens at an address does so in every network of its machine. */
export function isEveryAddress(address: string): boolean {
  return address === EVERY_ADDRESS || address === '::';
}

/** Whether an address is one of this machine only. */
export function isLoopback(address: string): boolean {
  return address === 'localhost' || /^(::ffff:)?127\.|^::1$/.test(address);
}

/** Networks that the internet does not reach. Source: RFC 1918, 3927, 4193, 4291, 6598. */
const PRIVATE: readonly RegExp[] = [
  /^(::ffff:)?(10|192\.168|172\.(1[6-9]|2\d|3[01])|169\.254)\./,
  /^(::ffff:)?100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\./,
  /^(f[cd]|fe[89ab])/i,
];

/** Whether an address is of a network that the internet does not reach. */
export function isPrivate(address: string): boolean {
  return isLoopback(address) || PRIVATE.some((network) => network.test(address));
}

/** The address in "address:port"; of IPv6 the half that a network has, since one host has many. */
export function addressOfPeer(peer: string): string {
  const address = peer.slice(0, Math.max(0, peer.lastIndexOf(':'))) || peer;
  if (!address.includes(':') || isLoopback(address)) return address;
  const [, mapped] = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(address) ?? [];
  if (mapped !== undefined) return mapped;
  const [head = '', tail = ''] = address.split('::');
  const groups = [head, tail].map((part) => part.split(':').filter((group) => group !== ''));
  const zeros = Math.max(0, 8 - groups.flat().length);
  return [groups[0] ?? [], Array<string>(zeros).fill('0'), groups[1] ?? []]
    .flat()
    .slice(0, 4)
    .join(':');
}
