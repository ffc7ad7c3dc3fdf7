/** Links as people say how fast they are: `200mbit,5ms`. */
import { ConfigError } from '../base/errors.ts';
import type { LinkSpeed } from './sum-cost.ts';

const FORM = /^(\d+(?:\.\d+)?)([kmg])bit(?:\/s)?(?:,(\d+(?:\.\d+)?)ms)?$/i;
const BITS: Readonly<Record<string, number>> = { k: 1e3, m: 1e6, g: 1e9 };
/** What is left of a link's bits beside the heads of frames: 1448 of 1538 bytes on Ethernet. */
const PAYLOAD = 0.94;
/** There and back in a wired network, where nobody says. */
const USUAL_ROUND_TRIP_MS = 0.5;
const MAX_ROUND_TRIP_MS = 60_000;

/**
 * What comes over a link of so many bits a second, in each direction, and takes so long there and
 * back.
 *
 * Throws: ConfigError when that is not what `text` says.
 */
export function parseLink(text: string): LinkSpeed {
  const [, rate = '', unit = '', roundTrip] = FORM.exec(text) ?? [];
  const bitsPerSecond = Number(rate) * (BITS[unit.toLowerCase()] ?? 0);
  const roundTripMs = Number(roundTrip ?? USUAL_ROUND_TRIP_MS);
  const isLink = bitsPerSecond >= 1_000 && Number.isFinite(bitsPerSecond);
  if (isLink && roundTripMs <= MAX_ROUND_TRIP_MS)
    return { roundTripMs, bytesPerSecond: (PAYLOAD * bitsPerSecond) / 8 };
  throw new ConfigError(
    `--link: expected a rate, and a round trip of at most ${MAX_ROUND_TRIP_MS} ms, as in 200mbit, ` +
      `1gbit,0.3ms or 20mbit,5ms, got ${JSON.stringify(text)}`,
    [{ path: '--link', expected: 'a rate and a round trip', got: text }],
  );
}
