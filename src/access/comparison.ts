/**
 * The six digits that both ends of a connection show, for people to compare. They follow from what
 * only these two ends have in common, and from a number of each end. The coordinator binds itself
 * to its number before it hears that of the newcomer, and tells it afterwards: so somebody in
 * between, who has the token and a connection with each end, cannot try numbers until both show
 * the same. It has one guess in a million for each newcomer.
 * Source: Vaudenay 2005, "Secure communications over insecure channels"; as in Bluetooth's numeric
 * comparison.
 */
import { createHash, createHmac, randomBytes } from 'node:crypto';

const NUMBER_BYTES = 32;
const DIGITS = 6;

/** What the digits follow from. */
export interface Comparison {
  /** Of the connection, the same at both ends. */
  readonly binding: Uint8Array;
  /** Hex, as all numbers. */
  readonly ofCoordinator: string;
  readonly ofNewcomer: string;
}

/** A number that nobody can guess. */
export function newNumber(): string {
  return randomBytes(NUMBER_BYTES).toString('hex');
}

/** What binds an end to its number without telling it. */
export function commitmentTo(number: string): string {
  return createHash('sha256').update(`lockstep commitment v1:${number}`).digest('hex');
}

/** Six digits that both ends show. */
export function codeOf({ binding, ofCoordinator, ofNewcomer }: Comparison): string {
  const hash = createHmac('sha256', binding);
  hash.update(`lockstep comparison v1:${ofCoordinator}:${ofNewcomer}`);
  // 48 bits: one code is more likely than another by less than one in 2^28.
  const value = hash.digest().readUIntBE(0, 6) % 10 ** DIGITS;
  return String(value).padStart(DIGITS, '0');
}

/** The digits as people read them. */
export function codeText(code: string): string {
  return `${code.slice(0, DIGITS / 2)} ${code.slice(DIGITS / 2)}`;
}
