import { networkInterfaces } from 'node:os';

/** Addresses that mean nothing without the name of a network. */
const LINK_LOCAL = /^(fe[89ab]|169\.254\.)/i;

/**
 * At which others reach this machine, in all its networks or by the interfaces that are named;
 * those of IPv4 first.
 */
export function ownAddresses(interfaces?: readonly string[]): string[] {
  const usable = Object.entries(networkInterfaces()).flatMap(([name, addresses = []]) =>
    addresses.filter(
      ({ internal, address }) =>
        (interfaces?.includes(name) ?? !internal) && !LINK_LOCAL.test(address),
    ),
  );
  const of = (family: string): string[] =>
    usable.flatMap((one) => (one.family === family ? [one.address] : []));
  return [...of('IPv4'), ...of('IPv6')];
}
