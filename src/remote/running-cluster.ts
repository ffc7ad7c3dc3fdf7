/** A run that was launched: how its sessions are, and how they are ended. */
import { LockstepError } from '../base/errors.ts';
import { inParallel } from './each-host.ts';
import { type Cluster, type Host, postsOf } from './host.ts';
import { COORDINATOR_SESSION, workerSession } from './processes.ts';
import type { Runner } from './runner.ts';
import { PLAIN_SHELL, statusScript, stopScript } from './sessions.ts';
import { HostError } from './ssh-failures.ts';

const STATUS_MS = 15_000;
const STOP_MS = 40_000;

/** A session that the file of hosts tells of. */
export interface Session {
  readonly name: string;
  readonly host: Host;
  readonly rank: number | undefined;
}

/** How a session is: `absent` was never started, `gone` was and did not tell how it ended. */
type SessionState = 'running' | 'ended' | 'gone' | 'absent' | 'unreachable';

/** What is known of a session. */
export interface SessionStatus {
  readonly session: Session;
  readonly state: SessionState;
  readonly exitCode: number | undefined;
  /** The last line of its log, or why the host could not be asked. */
  readonly lastLine: string;
}

/** All sessions of a cluster: the coordinator, then the workers by rank. */
export function sessionsOf(cluster: Cluster): readonly Session[] {
  const workers = postsOf(cluster.hosts).map(({ host, rank }) => ({
    name: workerSession(rank),
    host,
    rank,
  }));
  return [{ name: COORDINATOR_SESSION, host: cluster.coordinator, rank: undefined }, ...workers];
}

/** Asks all hosts for their sessions; a host that cannot be asked is a state of its own. */
export async function statusOf(
  cluster: Cluster,
  runner: Runner,
): Promise<readonly SessionStatus[]> {
  const sessions = sessionsOf(cluster);
  const all = await inParallel(cluster.hosts, async (host) => {
    const own = sessions.filter((session) => session.host === host);
    try {
      const names = own.map(({ name }) => name);
      const stdin = statusScript(names, host);
      const { stdout } = await runner.run(host, PLAIN_SHELL, { stdin, deadlineMs: STATUS_MS });
      return own.map((session) => parseStatus(session, stdout));
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      return own.map((session) => unreachableStatus(session, error));
    }
  });
  const found = all.flat();
  return sessions.flatMap((one) => found.find(({ session }) => session === one) ?? []);
}

/** Ends all sessions, the workers' after the coordinator's, and tells of each. */
export async function stopSessions(
  sessions: readonly Session[],
  runner: Runner,
  tell: (line: string) => void,
): Promise<void> {
  const isFirst = ({ rank }: Session): boolean => rank === undefined;
  const failures = [
    ...(await stopAll(sessions.filter(isFirst), runner, tell)),
    ...(await stopAll(
      sessions.filter((one) => !isFirst(one)),
      runner,
      tell,
    )),
  ];
  if (failures.length === 0) return;
  throw new LockstepError('HOST_FAILED', [
    `${failures.length} of ${sessions.length} sessions could not be told to end:`,
    ...new Set(failures),
  ]);
}

async function stopAll(
  sessions: readonly Session[],
  runner: Runner,
  tell: (line: string) => void,
): Promise<readonly string[]> {
  const failures = await inParallel(sessions, async ({ name, host }) => {
    try {
      const stdin = stopScript(name, host);
      const { stdout } = await runner.run(host, PLAIN_SHELL, { stdin, deadlineMs: STOP_MS });
      const word = stdout.trim().split('\n').at(-1) ?? '';
      if (word !== 'absent') tell(`${host.name}: ${name} ${word || 'told to end'}`);
      return [];
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      return [error.message];
    }
  });
  return failures.flat();
}

function parseStatus(session: Session, stdout: string): SessionStatus {
  const lines = stdout.split('\n').filter((line) => line.startsWith(`${session.name} `));
  const words = lines.map((line) => line.slice(session.name.length + 1));
  const log =
    words
      .find((line) => line.startsWith('log '))
      ?.slice(4)
      .trim() ?? '';
  const state = words.find((line) => !line.startsWith('log ')) ?? '';
  const [, name = 'absent', code] = /^(running|ended|gone|absent)(?: (\d+))?$/.exec(state) ?? [];
  return {
    session,
    state: name as SessionState,
    exitCode: code === undefined ? undefined : Number(code),
    lastLine: log,
  };
}

function unreachableStatus(session: Session, { what }: HostError): SessionStatus {
  return { session, state: 'unreachable', exitCode: undefined, lastLine: what };
}
