/** Commands that look after a launched run: `launch status`, `logs`, `attach` and `stop`. */
import { Command, Option } from 'commander';
import { ConfigError } from '../../base/errors.ts';
import {
  sessionsOf,
  type Session,
  type SessionStatus,
  statusOf,
  stopSessions,
} from '../../remote/running-cluster.ts';
import { attachCommand as attachLine, logCommand } from '../../remote/sessions.ts';
import { LAUNCHERS } from '../../schedulers/launchers.ts';
import { parseWhole } from '../shell/arguments.ts';
import type { CommandContext } from '../shell/command-context.ts';
import { EXIT } from '../shell/exit-codes.ts';
import { interruptible } from '../shell/interrupt.ts';
import { printJson } from '../shell/json-output.ts';
import { writeNote, writeResult } from '../shell/output.ts';
import { paint } from '../shell/terminal.ts';
import { sessionsText } from '../texts/launch-text.ts';
import { type JobFlags, jobOf, showJobLog, showJobStatus, stopJob } from './launch-via.ts';
import { HOSTS_OPTION, readHosts, withSsh } from './hosts-option.ts';

const MOST_LINES = 100_000;

interface HostsFlag extends JobFlags {
  readonly hosts?: string;
}

/** The flags of a command that looks at a launch, by whatever it was launched. */
function withLaunchFlags(command: Command): Command {
  return command
    .option(...HOSTS_OPTION)
    .addOption(new Option('--via <launcher>', 'what has launched it').choices(LAUNCHERS))
    .option('--name <name>', 'with --via: the run; without it the one launched last')
    .option('--out-dir <folder>', 'with --via: the folder of the runs', 'experiments');
}

/** `lockstep launch status`: a line for each session. */
export function statusCommand(context: CommandContext): Command {
  return withLaunchFlags(new Command('status').description('how a launch is'))
    .option('--json', 'print it as one JSON document')
    .action(async ({ hosts, json, ...flags }: HostsFlag & { readonly json?: boolean }) => {
      const job = jobOf(flags);
      if (job !== undefined) return showJobStatus(job, json === true);
      const all = await withSsh(context, async (ssh) => statusOf(readHosts(hosts), ssh));
      if (json === true) printJson({ sessions: all.map(documentOf) });
      else writeResult(`${sessionsText(all, paint(context.environment, process.stdout))}\n`);
      if (all.some(({ state }) => state === 'unreachable')) context.setExitCode(EXIT.failed);
    });
}

function documentOf({ session, ...status }: SessionStatus): object {
  const { name, host, rank } = session;
  return { session: name, host: host.name, rank: rank ?? null, ...status };
}

/** `lockstep launch logs`: what sessions have said, and with -f say. */
export function logsCommand(context: CommandContext): Command {
  return withLaunchFlags(new Command('logs').description('what coordinator and workers have said'))
    .argument('[session]', 'a rank, server, or worker1 ...; all of them if not given')
    .option('-f, --follow', 'go on until Ctrl-C')
    .option('-n, --lines <count>', 'lines of each', '20')
    .action(
      async (
        word: string | undefined,
        flags: HostsFlag & { readonly follow?: boolean; readonly lines: string },
      ) => {
        const lines = parseWhole('--lines', flags.lines, 0, MOST_LINES);
        const job = jobOf(flags);
        if (job !== undefined) return showJobLog(context, job, lines, flags.follow === true);
        const sessions = sessionsNamed(sessionsOf(readHosts(flags.hosts)), word);
        await showLogs(context, sessions, lines, flags.follow === true);
      },
    );
}

async function showLogs(
  context: CommandContext,
  sessions: readonly Session[],
  lines: number,
  isFollowed: boolean,
): Promise<void> {
  const { signal, release } = interruptible();
  const codes = await withSsh(context, async (ssh) =>
    Promise.all(
      sessions.map(async ({ name, host }) => {
        const show = prefixed(sessions.length > 1 ? `${name}  ` : '');
        const code = await ssh.follow(host, logCommand(name, lines, isFollowed), signal, show.add);
        show.end();
        return code;
      }),
    ),
  );
  release();
  if (signal.aborted) context.setExitCode(EXIT.interrupted);
  else if (codes.some((code) => code !== 0)) context.setExitCode(EXIT.failed);
}

/** Whole lines of a text that comes in pieces, each with a prefix. */
function prefixed(prefix: string): { add: (text: string) => void; end: () => void } {
  let rest = '';
  const add = (text: string): void => {
    const lines = `${rest}${text}`.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) writeResult(`${prefix}${line}\n`);
  };
  return { add, end: () => (rest === '' ? undefined : add('\n')) };
}

/** `lockstep launch attach`: the terminal of a session. */
export function attachCommand(context: CommandContext): Command {
  return new Command('attach')
    .description('show a session in this terminal; Ctrl-B D leaves it running')
    .argument('[session]', 'a rank, server, or worker1 ...', 'server')
    .option(...HOSTS_OPTION)
    .action(async (word: string, { hosts }: HostsFlag) => {
      const [session] = sessionsNamed(sessionsOf(readHosts(hosts)), word);
      if (session === undefined) return;
      if (!process.stdin.isTTY)
        throw new ConfigError('attach: expected a terminal; `lockstep launch logs -f` needs none');
      const { signal } = new AbortController();
      const code = await withSsh(context, async (ssh) =>
        ssh.follow(session.host, attachLine(session.name), signal),
      );
      if (code !== 0) context.setExitCode(EXIT.failed);
    });
}

/** `lockstep launch stop`: ends all sessions. */
export function stopCommand(context: CommandContext): Command {
  return withLaunchFlags(
    new Command('stop').description('end coordinator and workers, in good order'),
  ).action(async ({ hosts, ...flags }: HostsFlag) => {
    const job = jobOf(flags);
    if (job !== undefined) return stopJob(job);
    const sessions = sessionsOf(readHosts(hosts));
    await withSsh(context, async (ssh) =>
      stopSessions(sessions, ssh, (line) => writeNote(`${line}\n`)),
    );
  });
}

/** The session of this name or rank, or all. Throws: ConfigError when there is none. */
function sessionsNamed(sessions: readonly Session[], word: string | undefined): readonly Session[] {
  if (word === undefined) return sessions;
  const found = sessions.filter(({ name, rank }) => name === word || String(rank) === word);
  if (found.length > 0) return found;
  const last = sessions.at(-1)?.name ?? '';
  throw new ConfigError(
    `expected a session or a rank of these hosts, got "${word}". There are server and worker1 ` +
      `(rank 0) to ${last}`,
  );
}
