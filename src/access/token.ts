/**
 * Tokens: what lets somebody in. A token is a role, a name that may be seen, and a secret, with a
 * check that finds what was not copied whole: `lk1_<role>_<id>_<secret>_<check>`.
 */
import { createHash, hkdfSync, randomBytes } from 'node:crypto';
import { ConfigError } from '../base/errors.ts';
import { KEY_BYTES, type SharedKey } from '../transport/tls.ts';

/** What whoever has a token may do: work for runs, look at them, or lead them. */
export const ROLES = ['worker', 'viewer', 'admin'] as const;
/** One of `ROLES`. */
export type Role = (typeof ROLES)[number];

const ID_LENGTH = 10;
const CHECK_LENGTH = 6;
const LETTERS = 'abcdefghijklmnopqrstuvwxyz234567';
const PATTERN = /^lk1_(worker|viewer|admin)_([a-z2-7]{10})_([a-z2-7]{52})_([a-z2-7]{6})$/;

/** What opens a door the first time. */
export interface Token {
  readonly role: Role;
  readonly id: string;
  /** Base 32. */
  readonly secret: string;
}

/** A fresh token. */
export function newToken(role: Role): Token {
  return { role, id: randomWord(ID_LENGTH), secret: base32(randomBytes(KEY_BYTES)) };
}

/** Letters and digits that nobody can guess. */
function randomWord(length: number): string {
  return base32(randomBytes(length)).slice(0, length);
}

/** A token as it is handed on. */
export function tokenText({ role, id, secret }: Token): string {
  const body = `lk1_${role}_${id}_${secret}`;
  return `${body}_${checkOf(body)}`;
}

/** Reads a token. Throws: ConfigError that never quotes it. */
export function parseToken(text: string): Token {
  const match = PATTERN.exec(text);
  const [, role, id, secret, check] = match ?? [];
  const known = ROLES.find((one) => one === role);
  if (known === undefined || id === undefined || secret === undefined) {
    const versioned = /^lk(\d+)_/.exec(text);
    if (versioned !== null && versioned[1] !== '1')
      throw new ConfigError(
        'token: made by another version of Lockstep. Use the same version on both machines.',
      );
    if (text.length === lengthOf()) throw misspelt();
    throw new ConfigError(
      `token: expected lk1_<role>_... of ${lengthOf()} characters, got ${text.length}. ` +
        'Was it copied whole?',
    );
  }
  if (checkOf(text.slice(0, -CHECK_LENGTH - 1)) !== check) throw misspelt();
  return { role: known, id, secret };
}

function misspelt(): ConfigError {
  return new ConfigError('token: a character of it is wrong or missing. Copy it again, whole.');
}

/** The key of a token, by which both ends know each other before it is traded. */
export function joinKeyOf({ id, secret }: Token): SharedKey {
  return { identity: `join:${id}`, key: derive(secret, `lockstep join v1:${id}`) };
}

function derive(secret: string, purpose: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, '', purpose, KEY_BYTES));
}

function checkOf(body: string): string {
  return base32(createHash('sha256').update(body).digest()).slice(0, CHECK_LENGTH);
}

function lengthOf(): number {
  return 'lk1_worker_'.length + ID_LENGTH + 1 + 52 + 1 + CHECK_LENGTH;
}

/** RFC 4648 in small letters, without padding. */
function base32(bytes: Uint8Array): string {
  let text = '';
  let word = 0;
  let bits = 0;
  for (const byte of bytes) {
    word = (word << 8) | byte;
    bits += 8;
    for (; bits >= 5; bits -= 5) text += LETTERS[(word >>> (bits - 5)) & 31] ?? '';
    word &= (1 << bits) - 1;
  }
  return bits === 0 ? text : text + (LETTERS[(word << (5 - bits)) & 31] ?? '');
}
