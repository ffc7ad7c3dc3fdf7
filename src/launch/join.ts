/**
 * How a worker comes to a coordinator by a link: with the credential that it got for the link's
 * token before, or it trades the token now.
 */
import { hostname } from 'node:os';
import { join } from 'node:path';
import { codeText } from '../access/comparison.ts';
import type { JoinLink } from '../access/join-link.ts';
import { readSecretFile, writeSecretFile } from '../access/secret-file.ts';
import { joinKeyOf, type Token } from '../access/token.ts';
import { type Credential, credentialSchema, trade } from '../access/trade.ts';
import { AccessError, messageOf, PeerLostError } from '../base/errors.ts';
import { type Destination, dial, placesText } from '../transport/dial.ts';
import { type SearchOptions, WorkerSearch } from './worker-search.ts';

const CONNECT_TIMEOUT_MS = 5_000;

/** Where credentials of this user are kept, and how the coordinator is looked for. */
export interface JoinOptions extends Omit<SearchOptions, 'destination'> {
  readonly accessFolder: string;
}

/**
 * Gives the way to the coordinator of a link; undefined when interrupted.
 * Throws: AccessError when the token is refused, RendezvousError when nobody is there.
 */
export async function destinationOf(
  { addresses, token }: JoinLink,
  { accessFolder, retryMs, signal, log }: JoinOptions,
): Promise<Destination | undefined> {
  const known = wayThatIsKnown({ addresses, token }, accessFolder);
  if (known !== undefined) return known;
  const destination = { addresses, protection: joinKeyOf(token) };
  const search = new WorkerSearch({ destination, retryMs, signal, log });
  while (!signal.aborted) {
    try {
      const { connection } = await dial(destination, CONNECT_TIMEOUT_MS);
      const credential = await trade(connection, {
        holder: hostname(),
        onCode: (code, forMs) => log(waitingText(code, forMs)),
        signal,
      });
      writeSecretFile(fileFor(token, accessFolder), credential);
      return wayOf(addresses, credential);
    } catch (error) {
      if (signal.aborted) return undefined;
      if (!(error instanceof PeerLostError)) throw error;
      if (error.context['isKeyRefused'] === true) throw refused(destination, error);
      await search.fail(messageOf(error), error);
    }
  }
  return undefined;
}

/**
 * The way by the credential that was got for a link before; undefined if there is none that lasts.
 * Throws: FILE_FAILED.
 */
export function wayThatIsKnown(
  { addresses, token }: JoinLink,
  accessFolder: string,
): Destination | undefined {
  const known = readSecretFile(fileFor(token, accessFolder), credentialSchema);
  return known !== undefined && known.expiresMs > Date.now() ? wayOf(addresses, known) : undefined;
}

function waitingText(code: string, forMs: number): string {
  const minutes = Math.ceil(forMs / 60_000);
  return (
    `code ${codeText(code)}: waiting, ${minutes} min at most, until somebody at the coordinator ` +
    'lets this machine in. Its terminal must show the same code: if it does not, press Ctrl-C'
  );
}

function fileFor({ id }: Token, accessFolder: string): string {
  return join(accessFolder, 'joined', `${id}.json`);
}

function wayOf(addresses: Destination['addresses'], { identity, key }: Credential): Destination {
  return { addresses, protection: { identity, key: Buffer.from(key, 'hex') } };
}

function refused({ addresses }: Destination, cause: unknown): AccessError {
  return new AccessError(
    `joining ${placesText(addresses)}: the token of this link is not known there. Is it the link ` +
      'that this coordinator has printed? `lockstep token create` makes a new one',
    {},
    { cause },
  );
}
