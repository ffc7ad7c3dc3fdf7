import type { Address } from './tcp.ts';

/**
 * No space, and nothing that a shell reads: a name is printed in commands that somebody may paste,
 * and links come from others.
 */
const ADDRESS = /^(?:\[([\da-f:.]+(?:%[\w.-]+)?)\]|(?!-)([\p{L}\p{N}._-]+)):(\d{1,5})$/iu;

/** Reads the address in `host:port` or `[ipv6]:port`; undefined when the text is neither. */
export function parseAddress(text: string): Address | undefined {
  const match = ADDRESS.exec(text.trim());
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2];
  return host === undefined || port < 1 || port > 65_535 ? undefined : { host, port };
}
