import { networkInterfaces } from 'node:os';

/** Addresses that mean nothing without the name of a network. */
const LINK_LOCAL = /^(fe[89ab]|169\.254\.)/i;

/** At which others reach this machine, in all its networks; those of IPv4 first. */
export function ownAddresses(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  const usable = all.filter(({ internal, address }) => !internal && !LINK_LOCAL.test(address));
  const of = (family: string): string[] =>
    usable.flatMap((one) => (one.family === family ? [one.address] : []));
  return [...of('IPv4'), ...of('IPv6')];
}
