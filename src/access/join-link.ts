/**
 * The link that a coordinator prints and a worker joins by: where it is, at all its addresses, and
 * the token. It has no character that a shell reads.
 */
import { ConfigError } from '../base/errors.ts';
import { parseAddress } from '../transport/parse-address.ts';
import type { Address } from '../transport/tcp.ts';
import { parseToken, type Token, tokenText } from './token.ts';

const SCHEME = 'lockstep://';
/** An address of IPv6 begins with it, and has - in place of every colon. */
const IPV6 = 'ipv6-';
/** Characters of a link, line breaks included. */
export const MAX_LINK = 4_096;
/** Addresses in a link. */
const MAX_ADDRESSES = 8;

/** What a link says. */
export interface JoinLink {
  readonly addresses: readonly Address[];
  readonly token: Token;
}

/** A link as it is pasted. */
export function joinLinkText({ addresses, token }: JoinLink): string {
  const places = addresses.slice(0, MAX_ADDRESSES).map(({ host, port }) => {
    // A shell would read brackets.
    const name = host.includes(':') ? `${IPV6}${host.replaceAll(':', '-')}` : host;
    return `${name}:${port}`;
  });
  return `${SCHEME}${places.join(',')}/${tokenText(token)}`;
}

/** Whether a text is meant as a link rather than as an address. */
export function looksLikeLink(text: string): boolean {
  return text.trimStart().startsWith(SCHEME.slice(0, -2));
}

/**
 * Reads a link, also one that a terminal or a mail has broken over lines.
 * Throws: ConfigError that never quotes its token.
 */
export function parseJoinLink(text: string): JoinLink {
  const link = text.slice(0, MAX_LINK + 1).replaceAll(/\s+/g, '');
  const slash = link.indexOf('/', SCHEME.length);
  if (!link.startsWith(SCHEME) || slash < 0 || link.length > MAX_LINK)
    throw new ConfigError(
      `join link: expected ${SCHEME}<host>:<port>/lk1_..., as the coordinator prints it. ` +
        'Copy the whole line.',
    );
  const places = link.slice(SCHEME.length, slash).split(',');
  const addresses = places.map((place) => {
    const address = parseAddress(withBrackets(place));
    if (address === undefined)
      throw new ConfigError(`join link: expected host:port before the token, got "${place}"`);
    return address;
  });
  if (addresses.length > MAX_ADDRESSES)
    throw new ConfigError(`join link: expected at most ${MAX_ADDRESSES} addresses`);
  return { addresses, token: parseToken(link.slice(slash + 1)) };
}

function withBrackets(place: string): string {
  const [, digits, port] = /^ipv6-([0-9a-f-]+):(\d+)$/i.exec(place) ?? [];
  return digits === undefined ? place : `[${digits.replaceAll('-', ':')}]:${port ?? ''}`;
}
