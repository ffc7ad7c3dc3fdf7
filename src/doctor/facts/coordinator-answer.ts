/** What a coordinator answers to a worker of this machine, found without becoming one. */
import { hostname } from 'node:os';
import type { JoinLink } from '../../access/join-link.ts';
import { joinKeyOf } from '../../access/token.ts';
import { askForTrade } from '../../access/trade.ts';
import { systemClock } from '../../base/clock.ts';
import { AccessError, messageOf } from '../../base/errors.ts';
import { wayThatIsKnown } from '../../launch/join.ts';
import { SOFTWARE } from '../../launch/software.ts';
import { type Hello, parseToWorker, PROTOCOL_VERSION } from '../../protocol/messages.ts';
import { type Connection, GREETING_LIMITS } from '../../transport/connection.ts';
import type { Address } from '../../transport/tcp.ts';
import type { CoordinatorAnswer } from '../checks/coordinator-check.ts';
import { dial } from './dial.ts';

const ANSWER_MS = 6_000;

type Greeting = NonNullable<CoordinatorAnswer['greeting']>;

/**
 * Asks a coordinator for a second connection of a worker that it does not know. That is refused
 * after the version was compared, and takes nobody's place.
 */
export async function askCoordinator(address: Address): Promise<CoordinatorAnswer> {
  const { reach, connection } = await dial(address);
  if (connection === undefined) return { reach };
  try {
    return { reach, greeting: await greet(connection) };
  } finally {
    connection.destroy();
  }
}

/**
 * Asks at each address of a link whether it lets this machine in: by the credential that it was
 * traded for before, which is in `accessFolder`, else whether it could be traded. It is not, so
 * nothing is used up. Gives the first answer of a coordinator, or how far the first address was
 * reached.
 */
export async function askByLink(
  link: JoinLink,
  accessFolder: string,
): Promise<CoordinatorAnswer[]> {
  const known = wayThatIsKnown(link, accessFolder);
  const protection = known?.protection ?? joinKeyOf(link.token);
  const ask = known === undefined ? askAboutToken : askAboutCredential;
  const asking = link.addresses.map(async (address): Promise<CoordinatorAnswer> => {
    const startMs = systemClock.now();
    const { reach, connection, keyProblem } = await dial(address, protection);
    const ms = systemClock.now() - startMs;
    if (keyProblem !== undefined) return { reach, greeting: { kind: 'token', reason: keyProblem } };
    if (connection === undefined) return { reach };
    try {
      return { reach, greeting: await ask(connection, ms) };
    } finally {
      connection.destroy();
    }
  });
  const answers = await Promise.all(asking);
  const best = answers.find(({ greeting }) => greeting?.kind === 'welcome');
  return [best ?? answers.find(({ greeting }) => greeting) ?? answers[0]].filter(
    (one) => one !== undefined,
  );
}

async function askAboutToken(connection: Connection, ms: number): Promise<Greeting> {
  try {
    await askForTrade(connection);
    return { kind: 'welcome', ms };
  } catch (error) {
    const kind = error instanceof AccessError ? 'token' : 'stranger';
    return { kind, reason: messageOf(error) };
  }
}

/** A run that has not begun yet says nothing; it has taken the key. */
async function askAboutCredential(connection: Connection, ms: number): Promise<Greeting> {
  return greet(connection, { kind: 'welcome', ms });
}

const SILENT: Greeting = { kind: 'stranger', reason: 'it accepts a connection, and says nothing' };

async function greet(connection: Connection, ifSilent: Greeting = SILENT): Promise<Greeting> {
  const startMs = systemClock.now();
  connection.limits = GREETING_LIMITS;
  return new Promise((resolve) => {
    const timer = systemClock.after(ANSWER_MS, () => end(ifSilent));
    const end = (greeting: Greeting): void => {
      timer.cancel();
      resolve(greeting);
    };
    connection.handlers = {
      onFrame: (header) => end(judge(header, connection.peer, systemClock.now() - startMs)),
      onClose: (error) => end(judgeEnd(error?.message ?? 'it closed the connection')),
    };
    connection.send(HELLO);
  });
}

const HELLO: Hello = {
  kind: 'hello',
  protocol: PROTOCOL_VERSION,
  channel: 'data',
  workerId: 'doctor',
  session: 'doctor',
  host: hostname(),
  rank: null,
  processId: process.pid,
  lanes: 1,
  software: `${SOFTWARE}, doctor`,
};

/** What it means that the other end said this, and went. */
function judgeEnd(reason: string): Greeting {
  return { kind: reason.includes('with a key only') ? 'keyed' : 'stranger', reason };
}

/** What the first message of the other end means. */
export function judge(header: unknown, peer: string, ms: number): Greeting {
  try {
    const message = parseToWorker(header, peer);
    if (message.kind !== 'refused')
      return { kind: 'stranger', reason: `it said ${message.kind} to a stranger` };
    const { reason, isDenied } = message;
    if (isDenied === true) return { kind: 'token', reason };
    if (reason.includes('belongs to no member')) return { kind: 'welcome', ms };
    if (reason.includes('versions differ')) return { kind: 'differs', reason };
    return { kind: /token/i.test(reason) ? 'token' : 'refuses', reason };
  } catch (error) {
    return { kind: 'stranger', reason: messageOf(error) };
  }
}
