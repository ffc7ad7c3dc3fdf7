/** The way to a program that may be reached at several addresses. */
import { messageOf, PeerLostError } from '../base/errors.ts';
import type { TcpConnection } from './tcp-connection.ts';
import { type Address, connect, type Protection } from './tcp.ts';

/** Where somebody is reached, and how connections to it are protected. */
export interface Destination {
  /** One at least. */
  readonly addresses: readonly Address[];
  readonly protection: Protection;
}

/** A connection, and the address at which it was made. */
export interface Reached {
  readonly connection: TcpConnection;
  readonly address: Address;
}

/** Addresses in words. */
export function placesText(addresses: readonly Address[]): string {
  return addresses.map(({ host, port }) => `${host}:${port}`).join(' or ');
}

/**
 * Dials all addresses at once, and takes the one that answers first.
 * Throws: PeerLostError with what every one has answered.
 */
export async function dial(
  { addresses, protection }: Destination,
  timeoutMs: number,
): Promise<Reached> {
  let isOver = false;
  const attempts = addresses.map(async (address) => {
    const connection = await connect(address, timeoutMs, protection);
    if (isOver) connection.destroy();
    isOver = true;
    return { connection, address };
  });
  try {
    return await Promise.any(attempts);
  } catch (error) {
    const errors: unknown[] = error instanceof AggregateError ? error.errors : [error];
    if (errors.length === 1) throw errors[0];
    const context = errors.flatMap((one) => (one instanceof PeerLostError ? [one.context] : []));
    const isKeyRefused = context.some((facts) => facts['isKeyRefused'] === true);
    throw new PeerLostError(errors.map(messageOf).join('; '), { isKeyRefused }, { cause: error });
  }
}
