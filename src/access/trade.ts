/**
 * The first contact: a token, by whose key the connection came about, is traded for a credential of
 * this worker, which opens the door from then on; or it is only asked whether it could be. Tokens
 * may be pasted, mailed and photographed; a credential stays in a file of its owner.
 */
import { z } from 'zod';
import { systemClock } from '../base/clock.ts';
import {
  AccessError,
  type LockstepError,
  messageOf,
  PeerLostError,
  ProtocolError,
} from '../base/errors.ts';
import {
  awaitGreeting,
  parseMessage,
  refuseConnection,
  refusedSchema,
  token as identity,
  words,
} from '../protocol/greeting.ts';
import type { Connection } from '../transport/connection.ts';
import type { CredentialRecord } from './access-records.ts';
import type { AccessStore } from './access-store.ts';

const ANSWER_MS = 5_000;
const MAX_HOLDER = 100;

/** A trade, or the question whether there would be one: that uses nothing up. */
const request = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('trade'), holder: words(MAX_HOLDER) }),
  z.object({ kind: z.literal('ask') }),
]);
type Request = z.infer<typeof request>;

/** What a worker keeps: under which name the door knows its key, and until when. */
export const credentialSchema = z.object({
  identity,
  /** Hex. */
  key: z.string().regex(/^[0-9a-f]{64}$/),
  expiresMs: z.number(),
});
/** What a worker keeps. */
export type Credential = z.infer<typeof credentialSchema>;

const answer = z.discriminatedUnion('kind', [
  credentialSchema.extend({ kind: z.literal('credential') }),
  z.object({ kind: z.literal('good') }),
  refusedSchema,
]);
type Answer = z.infer<typeof answer>;

/** Answers on a connection that came about by the token `identity`. `onEnd` hears of a trade. */
export function serveTrade(
  connection: Connection,
  store: AccessStore,
  joinIdentity: string,
  onEnd: (outcome: CredentialRecord | string) => void,
): void {
  const deadline = awaitGreeting(connection, systemClock, ANSWER_MS);
  const refuse = (reason: string): void => {
    refuseConnection(connection, reason, { isDenied: true });
    onEnd(reason);
  };
  connection.handlers = {
    onClose: () => deadline.cancel(),
    onFrame: (header) => {
      deadline.cancel();
      const asked = parseMessage(request, header, connection.peer);
      try {
        const problem = store.problemWith(joinIdentity, 'worker');
        if (asked.kind === 'ask')
          return tell(connection, problem ?? store.tradeProblemWith(joinIdentity));
        if (problem !== undefined) return refuse(problem);
        const record = store.issue(joinIdentity, asked.holder);
        const { key, expiresMs } = record;
        const given: Credential = { identity: `cred:${record.id}`, key, expiresMs };
        connection.send({ kind: 'credential', ...given });
        connection.close();
        onEnd(record);
      } catch (error) {
        refuse(messageOf(error));
      }
    },
  };
}

/**
 * Asks for a credential on a connection that came about by a token. `holder` says to people who
 * this is. Throws: AccessError with the reason when it is refused, PeerLostError without an answer.
 */
export async function trade(connection: Connection, holder: string): Promise<Credential> {
  const said = await converse(connection, { kind: 'trade', holder });
  if (said.kind !== 'credential') throw unexpected(said, connection.peer);
  const { kind: _, ...credential } = said;
  return credential;
}

/**
 * Asks whether the token, by which a connection came about, could be traded; it is not. Throws:
 * AccessError with the reason when it could not, PeerLostError without an answer.
 */
export async function askForTrade(connection: Connection): Promise<void> {
  const said = await converse(connection, { kind: 'ask' });
  if (said.kind !== 'good') throw unexpected(said, connection.peer);
}

/** One question, its answer, and the end of the connection. */
async function converse(connection: Connection, question: Request): Promise<Answer> {
  const deadline = systemClock.after(ANSWER_MS, () => connection.destroy());
  try {
    return await new Promise<Answer>((resolve, reject) => {
      connection.handlers = {
        onFrame: (header) => resolve(parseMessage(answer, header, connection.peer)),
        onClose: (error) => reject(error ?? noAnswer(connection.peer)),
      };
      connection.send(question);
    });
  } finally {
    deadline.cancel();
    connection.close();
  }
}

function unexpected(said: Answer, peer: string): LockstepError {
  if (said.kind === 'refused') return new AccessError(said.reason);
  return new ProtocolError(`trading the token at ${peer}: it said ${said.kind}`);
}

/** Says whether there would be a trade. */
function tell(connection: Connection, problem: string | undefined): void {
  if (problem !== undefined) return refuseConnection(connection, problem, { isDenied: true });
  connection.send({ kind: 'good' } satisfies Answer);
  connection.close();
}

function noAnswer(peer: string): LockstepError {
  return new PeerLostError(`trading the token at ${peer}: no answer`);
}
