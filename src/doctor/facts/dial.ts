/** Connections that are tried, and what an attempt that failed says of the way. */
import { systemClock } from '../../base/clock.ts';
import { LockstepError } from '../../base/errors.ts';
import type { Connection } from '../../transport/connection.ts';
import { type Address, connect, type Protection } from '../../transport/tcp.ts';
import type { Reach } from '../checks/reach.ts';
import { areNeighbours, gatherInterfaces } from './networks.ts';

/** What comes through a firewall that drops packets never comes. */
const TIMEOUT_MS = 5_000;
/** Any answer there, a refusal too, says that the machine is reached: ssh, discard, web. */
const KNOCKED_PORTS = [22, 9, 80];
const KNOCK_MS = 1_500;

/** A connection, or how far one came. */
export interface Dialled {
  readonly reach: Reach;
  /** To be closed by the caller. */
  readonly connection?: Connection;
  /** In words, when the other end is there and does not accept our key. */
  readonly keyProblem?: string;
}

/** Connects to `address`; when nothing comes back, other ports of that machine are tried. */
export async function dial(address: Address, protection: Protection = 'none'): Promise<Dialled> {
  const { host, port } = address;
  const isNeighbour = gatherInterfaces().some(({ addresses }) =>
    addresses.some((own) => areNeighbours(own, host)),
  );
  const attempt = connect(address, TIMEOUT_MS, protection);
  const knocks = knockLater(host, attempt);
  try {
    const connection = await attempt;
    const { localHost: localAddress } = connection;
    return { connection, reach: { host, port, outcome: 'reached', localAddress, isNeighbour } };
  } catch (error) {
    if (error instanceof LockstepError && error.context['isKeyRefused'] === true)
      return { reach: { host, port, outcome: 'reached', isNeighbour }, keyProblem: error.message };
    const outcome = outcomeOf(error);
    const answersElsewhere = outcome === 'silent' ? await knocks : undefined;
    return { reach: { host, port, outcome, answersElsewhere, isNeighbour } };
  }
}

/** Whether it answers at other ports, asked when a connection does not come about quickly. */
async function knockLater(host: string, attempt: Promise<unknown>): Promise<boolean> {
  const isLate = await new Promise<boolean>((resolve) => {
    const timer = systemClock.after(KNOCK_MS, () => resolve(true));
    const end = (): void => {
      timer.cancel();
      resolve(false);
    };
    attempt.then(end, end);
  });
  return isLate && answers(host);
}

async function answers(host: string): Promise<boolean> {
  const knocks = KNOCKED_PORTS.map(async (port) => {
    try {
      (await connect({ host, port }, KNOCK_MS, 'none')).destroy();
      return true;
    } catch (error) {
      return outcomeOf(error) === 'refused';
    }
  });
  return (await Promise.all(knocks)).some(Boolean);
}

/** How a connection ended, by the system's code. */
function outcomeOf(error: unknown): Reach['outcome'] {
  if (!(error instanceof LockstepError)) throw error;
  return outcomeOfCode(error.context['systemCode']);
}

/** The same of the code alone; what has none was a deadline. */
export function outcomeOfCode(code: unknown): Reach['outcome'] {
  switch (code) {
    case 'ECONNREFUSED':
    case 'ECONNRESET':
      return 'refused';
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'EADDRNOTAVAIL':
    case 'EHOSTDOWN':
      return 'unreachable';
    case 'EPERM':
    case 'EACCES':
      return 'forbidden';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'name unknown';
    default:
      return 'silent';
  }
}
