/**
 * Tokens and credentials of a user on the machine that coordinates. Every one is a file of its
 * own: a token's is written by whoever creates or revokes it, its uses are the credentials that
 * exist. So coordinators and commands that run at the same time never write over each other.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { AccessError, ConfigError, invariant } from '../base/errors.ts';
import { KEY_BYTES } from '../transport/tls.ts';
import {
  type CredentialRecord,
  credentialRecord,
  type TokenRecord,
  tokenRecord,
} from './access-records.ts';
import { readSecretFile, writeSecretFile } from './secret-file.ts';
import { joinKeyOf, newToken, type Role, type Token } from './token.ts';

const DAY_MS = 24 * 3_600_000;
/** How long a credential lasts. */
const CREDENTIAL_MS = 30 * DAY_MS;
/** What is over is forgotten after this time: until then it is said why. */
const KEPT_MS = 30 * DAY_MS;
/** How often a token can be traded at most. */
export const MAX_USES = 1_000;

const IDENTITY = /^(join|cred):([a-z2-7]{10})(?:\.(\d{1,4}))?$/;

/** What a new token is for. */
export interface TokenWishes {
  readonly role: Role;
  /** Milliseconds. */
  readonly lifetimeMs: number;
  readonly maxUses: number;
  readonly note: string;
}

/** A token with what came of it. */
export interface ListedToken {
  readonly token: TokenRecord;
  readonly credentials: readonly CredentialRecord[];
}

/** The files in one folder. Its methods throw FILE_FAILED when that cannot be used. */
export class AccessStore {
  readonly #tokens: string;
  readonly #credentials: string;
  readonly #now: () => number;

  /** `now` is the wall clock in ms. */
  constructor(folder: string, now: () => number = Date.now) {
    this.#tokens = join(folder, 'tokens');
    this.#credentials = join(folder, 'credentials');
    this.#now = now;
  }

  /** Makes a token, or takes one in, and keeps its key; forgets those that are long over. */
  create({ role, lifetimeMs, maxUses, note }: TokenWishes, given?: Token): Token {
    this.#forget();
    const token = given ?? newToken(role);
    const createdMs = this.#now();
    const expiresMs = createdMs + lifetimeMs;
    const key = Buffer.from(joinKeyOf(token).key).toString('hex');
    const record: TokenRecord = { id: token.id, role, key, createdMs, expiresMs, maxUses, note };
    writeSecretFile(this.#tokenFile(token.id), record);
    return token;
  }

  /** All that are kept, the newest first. */
  list(): ListedToken[] {
    return idsIn(this.#tokens)
      .flatMap((id) => this.#token(id) ?? [])
      .sort((a, b) => b.createdMs - a.createdMs)
      .map((token) => ({ token, credentials: this.#credentialsOf(token.id) }));
  }

  /** Ends a token and all that came of it, or one credential. Throws: ConfigError if unknown. */
  revoke(id: string): void {
    const revokedMs = this.#now();
    const isWord = /^[a-z2-7]{10}(\.\d{1,4})?$/.test(id);
    const credential = isWord && id.includes('.') ? this.#credential(id) : undefined;
    if (credential !== undefined)
      return void writeSecretFile(this.#credentialFile(id), { ...credential, revokedMs });
    const token = isWord && !id.includes('.') ? this.#token(id) : undefined;
    if (token === undefined)
      throw new ConfigError(
        `token ${id}: there is none of this name. \`lockstep token list\` names all.`,
      );
    writeSecretFile(this.#tokenFile(id), { ...token, revokedMs });
  }

  /** The key of who calls itself so; undefined if nobody does. */
  keyOf(identity: string): Uint8Array | undefined {
    const record = this.#find(identity);
    return record === undefined ? undefined : Buffer.from(record.key, 'hex');
  }

  /**
   * Another text whenever a file was written or removed, which is always done by its folder: so
   * long as it stays the same nothing need be read. Two changes within the grain of the file
   * system's clock may look like one.
   */
  version(): string {
    const folders = [this.#tokens, this.#credentials];
    return folders.map((path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0).join(' ');
  }

  /** Why a key that was good is not any more: it was revoked; undefined if it was not. */
  revocationOf(identity: string): string | undefined {
    const record = this.#find(identity);
    const token = record && 'tokenId' in record ? this.#token(record.tokenId) : undefined;
    if (record?.revokedMs !== undefined) return `the ${nameOf(record)} was revoked`;
    return token?.revokedMs === undefined ? undefined : 'the token of its link was revoked';
  }

  /** Why whoever has shown this key has no right to what it is for; undefined if it has. */
  problemWith(identity: string, role: Role): string | undefined {
    const record = this.#find(identity);
    if (record === undefined) return 'nobody of this name is known here';
    const what = nameOf(record);
    const remedy = 'make a new one with `lockstep token create` where the coordinator runs';
    const token = 'tokenId' in record ? this.#token(record.tokenId) : undefined;
    const revokedMs = record.revokedMs ?? token?.revokedMs;
    if (revokedMs !== undefined)
      return `the ${what} was revoked ${this.#ago(revokedMs)} ago: ${remedy}`;
    if (record.expiresMs <= this.#now())
      return `the ${what} expired ${this.#ago(record.expiresMs)} ago: ${remedy}`;
    if (record.role === role) return undefined;
    return `the ${what} has the role ${record.role}, this needs ${role}: ${remedy}`;
  }

  /**
   * Trades a token, of which `problemWith` says nothing, for a credential of its own for `holder`,
   * whom a person has let in if `isApproved`. Throws: AccessError when it is used up.
   */
  issue(identity: string, holder: string, isApproved = false): CredentialRecord {
    const { id: tokenId, role, maxUses } = this.#tokenOf(identity);
    for (const id of this.#freeIds(tokenId, maxUses)) {
      const createdMs = this.#now();
      const key = randomBytes(KEY_BYTES).toString('hex');
      const expiresMs = createdMs + CREDENTIAL_MS;
      const times = { createdMs, expiresMs };
      const record: CredentialRecord = {
        ...{ id, tokenId, role, key, ...times, holder },
        ...(isApproved && { isApproved }),
      };
      // Another coordinator may just have given this one away.
      if (writeSecretFile(this.#credentialFile(id), record, true)) return record;
    }
    throw new AccessError(usedUp(maxUses));
  }

  /** Whether a person has let in whoever has got this credential. */
  isApproved(identity: string): boolean {
    const record = this.#find(identity);
    return record !== undefined && 'isApproved' in record && record.isApproved === true;
  }

  /** Why a token, of which `problemWith` says nothing, cannot be traded; undefined if it can. */
  tradeProblemWith(identity: string): string | undefined {
    const { id, maxUses } = this.#tokenOf(identity);
    return this.#freeIds(id, maxUses).next().done === true ? usedUp(maxUses) : undefined;
  }

  #tokenOf(identity: string): TokenRecord {
    const token = this.#token(IDENTITY.exec(identity)?.[2] ?? '');
    invariant(token !== undefined, 'a token is known when it is traded');
    return token;
  }

  /** Names for credentials of a token that are not given away. */
  *#freeIds(tokenId: string, maxUses: number): Generator<string, void> {
    for (let use = 0; use < maxUses; use++) {
      const id = `${tokenId}.${use}`;
      if (!existsSync(this.#credentialFile(id))) yield id;
    }
  }

  #find(identity: string): TokenRecord | CredentialRecord | undefined {
    const [, kind, id = '', use] = IDENTITY.exec(identity) ?? [];
    if (kind === 'join' && use === undefined) return this.#token(id);
    if (kind === 'cred' && use !== undefined) return this.#credential(`${id}.${use}`);
    return undefined;
  }

  #token(id: string): TokenRecord | undefined {
    return readSecretFile(this.#tokenFile(id), tokenRecord);
  }

  #credential(id: string): CredentialRecord | undefined {
    return readSecretFile(this.#credentialFile(id), credentialRecord);
  }

  #credentialsOf(tokenId: string): CredentialRecord[] {
    return idsIn(this.#credentials)
      .filter((id) => id.startsWith(`${tokenId}.`))
      .flatMap((id) => this.#credential(id) ?? [])
      .sort((a, b) => a.createdMs - b.createdMs);
  }

  #forget(): void {
    const pastMs = this.#now() - KEPT_MS;
    for (const { token, credentials } of this.list()) {
      const lastMs = Math.max(token.expiresMs, ...credentials.map((one) => one.expiresMs));
      if (lastMs > pastMs) continue;
      for (const { id } of credentials) rmSync(this.#credentialFile(id), { force: true });
      rmSync(this.#tokenFile(token.id), { force: true });
    }
  }

  #ago(thenMs: number): string {
    const seconds = Math.max(1, Math.round((this.#now() - thenMs) / 1000));
    if (seconds < 120) return `${seconds} s`;
    if (seconds < 7_200) return `${Math.round(seconds / 60)} min`;
    return seconds < 172_800
      ? `${Math.round(seconds / 3_600)} h`
      : `${Math.round(seconds / 86_400)} days`;
  }

  #tokenFile(id: string): string {
    return join(this.#tokens, `${id}.json`);
  }

  #credentialFile(id: string): string {
    return join(this.#credentials, `${id}.json`);
  }
}

function usedUp(maxUses: number): string {
  return (
    `the token was used ${maxUses === 1 ? 'once' : `${maxUses} times`}, as often as it may be: ` +
    'make a new one ' +
    'with `lockstep token create` where the coordinator runs'
  );
}

function nameOf(record: TokenRecord | CredentialRecord): string {
  return 'tokenId' in record ? 'credential' : 'token';
}

/** The names of the files of a folder, which need not exist. */
function idsIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder).flatMap((name) => /^([a-z2-7.\d]+)\.json$/.exec(name)?.[1] ?? []);
}
