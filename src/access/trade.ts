/**
 * The first contact: a token, by whose key the connection came about, is traded for a credential of
 * this worker, which opens the door from then on; or it is only asked whether it could be. Tokens
 * may be pasted, mailed and photographed; a credential stays in a file of its owner. Where a person
 * is to let newcomers in, both ends first agree on digits to compare (`comparison.ts`):
 *
 *     newcomer                     coordinator
 *     trade         ------------>
 *                   <------------  compare: bound to a number
 *     number        ------------>
 *                   <------------  wait: the number; both show the digits
 *                   <------------  credential, or refused
 */
import * as z from 'zod';
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
import { APPROVAL_MS, type Approvals, type Refusal } from './approvals.ts';
import type { CredentialRecord } from './access-records.ts';
import type { AccessStore } from './access-store.ts';
import { codeOf, commitmentTo, newNumber } from './comparison.ts';

const ANSWER_MS = 5_000;
const MAX_HOLDER = 100;
/** A coordinator may ask a newcomer to wait for a person for so long at most. */
const MAX_WAIT_MS = 3_600_000;

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

/** 256 bits, hex. */
const number = z.string().regex(/^[0-9a-f]{64}$/);
const numberSchema = z.object({ kind: z.literal('number'), number });

const answer = z.discriminatedUnion('kind', [
  credentialSchema.extend({ kind: z.literal('credential') }),
  z.object({ kind: z.literal('good') }),
  z.object({ kind: z.literal('compare'), commitment: number }),
  z.object({ kind: z.literal('wait'), number, forMs: z.number().int().min(0).max(MAX_WAIT_MS) }),
  refusedSchema,
]);
type Answer = z.infer<typeof answer>;

/** Whose tokens are traded, by whom they are let in, and who hears of it. */
export interface TradeOptions {
  readonly store: AccessStore;
  /** Under which name the key is known that the connection came about by. */
  readonly joinIdentity: string;
  /** Without them a token is enough. */
  readonly approvals?: Approvals | undefined;
  /** What was given, or why nothing was; in that case also whether a person was asked. */
  readonly onEnd: (outcome: CredentialRecord | string, wasAsked?: boolean) => void;
}

/** Answers on a connection that came about by a token. */
export function serveTrade(connection: Connection, options: TradeOptions): void {
  const { store, joinIdentity, approvals, onEnd } = options;
  const deadline = awaitGreeting(connection, systemClock, ANSWER_MS);
  const refuse = ({ reason, isForNow }: Refusal, wasAsked = false): void => {
    refuseConnection(connection, reason, isForNow === true ? { isForNow } : { isDenied: true });
    onEnd(reason, wasAsked);
  };
  const problem = (): string | undefined =>
    store.problemWith(joinIdentity, 'worker') ?? store.tradeProblemWith(joinIdentity);
  const give = (holder: string, isApproved: boolean): void => {
    const record = store.issue(joinIdentity, holder, isApproved);
    const { key, expiresMs } = record;
    const given: Credential = { identity: `cred:${record.id}`, key, expiresMs };
    connection.send({ kind: 'credential', ...given });
    connection.close();
    onEnd(record);
  };
  /** Files may fail at any time. */
  const orRefuse = (action: () => void): void => {
    try {
      action();
    } catch (error) {
      refuse({ reason: messageOf(error) });
    }
  };
  const answerTo = (asked: Request): void => {
    const reason = problem();
    if (asked.kind === 'ask') return tell(connection, reason);
    if (reason !== undefined) return refuse({ reason });
    if (approvals === undefined) return give(asked.holder, false);
    compare(connection, asked.holder, approvals, (refusal) =>
      orRefuse(() => {
        const late = refusal?.reason ?? problem();
        if (late === undefined) give(asked.holder, true);
        else refuse(refusal ?? { reason: late }, refusal !== undefined);
      }),
    );
  };
  connection.handlers = {
    onClose: () => deadline.cancel(),
    onFrame: (header) => {
      deadline.cancel();
      const asked = parseMessage(request, header, connection.peer);
      orRefuse(() => answerTo(asked));
    },
  };
}

/**
 * Agrees with a newcomer on the digits that both show, and has it wait until a person has compared
 * them. `onEnd` is told why it does not come in; undefined if it does.
 */
function compare(
  connection: Connection,
  holder: string,
  approvals: Approvals,
  onEnd: (refusal: Refusal | undefined) => void,
): void {
  const { peer, binding } = connection;
  if (binding === undefined) return onEnd({ reason: 'the connection is not encrypted' });
  const ofCoordinator = newNumber();
  const deadline = awaitGreeting(connection, systemClock, ANSWER_MS);
  const gone = new AbortController();
  let isAsked = false;
  connection.handlers = {
    onClose: () => {
      deadline.cancel();
      gone.abort();
    },
    onFrame: (header) => {
      const said = parseMessage(numberSchema, header, peer);
      if (isAsked) throw new ProtocolError(`${peer}: said ${said.kind} while it was to wait`);
      isAsked = true;
      deadline.cancel();
      const code = codeOf({ binding, ofCoordinator, ofNewcomer: said.number });
      const wait: Answer = { kind: 'wait', number: ofCoordinator, forMs: APPROVAL_MS };
      connection.send(wait);
      approvals.request({ peer, holder, code }, gone.signal, onEnd);
    },
  };
  connection.send({ kind: 'compare', commitment: commitmentTo(ofCoordinator) } satisfies Answer);
}

/** How a newcomer waits for its credential. */
export interface TradeWishes {
  /** Says to people who this is. */
  readonly holder: string;
  /** Told the digits to show, where a person must let this newcomer in, and for how long. */
  readonly onCode: (code: string, forMs: number) => void;
  /** Ends the wait. */
  readonly signal: AbortSignal;
}

/**
 * Asks for a credential on a connection that came about by a token. Throws: AccessError with the
 * reason when it is refused, PeerLostError without an answer, or when it is to come back later.
 */
export async function trade(connection: Connection, wishes: TradeWishes): Promise<Credential> {
  const { holder, signal } = wishes;
  const said = await converse(connection, { kind: 'trade', holder }, wishes.onCode, signal);
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

/** One question, the digits to compare if there are any, the answer, the end of the connection. */
async function converse(
  connection: Connection,
  question: Request,
  onCode?: TradeWishes['onCode'],
  signal?: AbortSignal,
): Promise<Answer> {
  const { peer, binding } = connection;
  const end = (): void => connection.destroy();
  let deadline = systemClock.after(ANSWER_MS, end);
  const waitFor = (ms: number): void => {
    deadline.cancel();
    deadline = systemClock.after(ms + ANSWER_MS, end);
  };
  const ofNewcomer = newNumber();
  let commitment: string | undefined;
  signal?.addEventListener('abort', end);
  try {
    return await new Promise<Answer>((resolve, reject) => {
      connection.handlers = {
        onFrame: (header) => {
          const said = parseMessage(answer, header, peer);
          if (said.kind === 'compare' && commitment === undefined) {
            commitment = said.commitment;
            waitFor(0);
            connection.send({ kind: 'number', number: ofNewcomer });
          } else if (said.kind === 'wait' && commitmentTo(said.number) === commitment) {
            commitment = '';
            waitFor(said.forMs);
            if (binding === undefined) throw new ProtocolError(`${peer}: it is not encrypted`);
            onCode?.(codeOf({ binding, ofCoordinator: said.number, ofNewcomer }), said.forMs);
          } else resolve(said);
        },
        onClose: (error) => reject(error ?? noAnswer(peer)),
      };
      connection.send(question);
    });
  } finally {
    signal?.removeEventListener('abort', end);
    deadline.cancel();
    connection.close();
  }
}

function unexpected(said: Answer, peer: string): LockstepError {
  if (said.kind !== 'refused')
    return new ProtocolError(`trading the token at ${peer}: it said ${said.kind}`);
  return said.isForNow === true
    ? new PeerLostError(`trading the token at ${peer}: ${said.reason}`)
    : new AccessError(said.reason);
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
