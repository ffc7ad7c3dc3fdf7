/**
 * Sessions on hosts, which outlive the connection that started them: in tmux, or where there is
 * none as a process of its own. All that is said to them are lines for `sh`.
 */
import { LAUNCH_FOLDER, logPath } from './processes.ts';
import { quote, quotePath } from './quote.ts';
import type { Host } from './host.ts';

/** What keeps a session: a window that one can attach to, or nothing but its process. */
export type SessionKind = 'tmux' | 'detached';

/** A session is told to end and gets so long before it is killed. */
const GRACE_SECONDS = 15;
/** Homebrew's programs are not found by a command over ssh. */
const FIND_PROGRAMS = 'PATH="$PATH:/opt/homebrew/bin:/usr/local/bin"';
const POLLS_PER_SECOND = 5;
const LEADS_A_GROUP =
  "const [f]=process.argv.slice(1);const c=require('node:child_process').spawn('sh',[f]," +
  "{detached:true,stdio:'ignore'});c.unref();console.log(c.pid)";

/**
 * The command that starts a session with the script on its standard input. Its exit code is not 0
 * when there is one of this name, which stays as it is.
 */
export function startCommand(
  session: string,
  { workdir }: Host,
  kind: SessionKind,
  node: string,
): string {
  const folder = `${quotePath(workdir)}/${LAUNCH_FOLDER}`;
  const file = `${folder}/${session}.sh`;
  const log = quotePath(logPath(session));
  const start =
    kind === 'tmux'
      ? `tmux new-session -d -s ${session} sh ${file}`
      : `${quotePath(node)} -e ${quote(LEADS_A_GROUP)} ${file} >${folder}/${session}.pid`;
  return shell(
    `umask 077; mkdir -p ${folder}; ! ${isThere(session, folder)} || ` +
      `{ echo "there is a session ${session} already" >&2; exit 1; }; ` +
      `rm -f ${folder}/${session}.exit ${folder}/${session}.pid; ` +
      `[ ! -f ${log} ] || mv -f ${log} ${log}.1; cat >${file} && ${start}`,
  );
}

/** The command that keeps its standard input in a file that only the host's user may read. */
export function keepCommand(name: string, { workdir }: Host): string {
  const folder = `${quotePath(workdir)}/${LAUNCH_FOLDER}`;
  const file = `${folder}/${name}`;
  return shell(`umask 077; mkdir -p ${folder} && rm -f ${file} && cat >${file}`);
}

/**
 * The script that tells a session to end, as Ctrl-C would, and kills what is left of it after a
 * while. It prints what became of it: `absent`, `stopped` or `killed`.
 */
export function stopScript(session: string, { workdir }: Host): string {
  const folder = `${quotePath(workdir)}/${LAUNCH_FOLDER}`;
  const pid = `"$(cat ${folder}/${session}.pid 2>/dev/null)"`;
  return plainScript([
    `${isThere(session, folder)} || { echo absent; exit 0; }`,
    `tmux send-keys -t '=${session}:' C-c 2>/dev/null || kill -INT -- -${pid} 2>/dev/null`,
    'i=0',
    `while [ $i -lt ${GRACE_SECONDS * POLLS_PER_SECOND} ]; do`,
    `  ${isThere(session, folder)} || { echo stopped; exit 0; }`,
    '  sleep 0.2',
    '  i=$((i + 1))',
    'done',
    `tmux kill-session -t '=${session}' 2>/dev/null || kill -KILL -- -${pid}`,
    'echo killed',
  ]);
}

/** The script that prints how sessions are: lines of name and state, or name and end of log. */
export function statusScript(sessions: readonly string[], { workdir }: Host): string {
  const folder = `${quotePath(workdir)}/${LAUNCH_FOLDER}`;
  return plainScript([
    `for s in ${sessions.join(' ')}; do`,
    `  if ${isThere('$s', folder)}; then echo "$s running"`,
    `  elif [ -f ${folder}/$s.exit ]; then echo "$s ended $(cat ${folder}/$s.exit)"`,
    `  elif [ -f ${folder}/$s.sh ]; then echo "$s gone"`,
    '  else echo "$s absent"; fi',
    '  [ ! -f "$HOME"/$s.log ] || echo "$s log $(tail -n 1 "$HOME"/$s.log | cut -c 1-500)"',
    'done',
  ]);
}

/** The command that prints the end of a log, and goes on with it if asked to. */
export function logCommand(session: string, lines: number, isFollowed: boolean): string {
  const log = quotePath(logPath(session));
  return isFollowed ? `tail -n ${lines} -F ${log}` : `tail -n ${lines} ${log}`;
}

/** The command that shows a session in this terminal, or its log where it has no window. */
export function attachCommand(session: string): string {
  return shell(
    `tmux attach-session -t '=${session}' 2>/dev/null || ` +
      `{ echo "no tmux session ${session}: its log"; tail -n 50 -F "$HOME"/${session}.log; }`,
  );
}

/**
 * The script that waits until the log of a session has a line with `text`. It ends with 0 then,
 * with 1 when the session ended before, 2 when the time was up; in both it prints the log's end.
 */
export function awaitScript(
  session: string,
  { workdir }: Host,
  text: string,
  seconds: number,
): string {
  const folder = `${quotePath(workdir)}/${LAUNCH_FOLDER}`;
  const log = quotePath(logPath(session));
  const tail = `tail -n 5 ${log} 2>/dev/null`;
  return plainScript([
    'i=0',
    `while [ $i -lt ${seconds * POLLS_PER_SECOND} ]; do`,
    `  grep -q -F -e ${quote(text)} ${log} 2>/dev/null && exit 0`,
    `  ${isThere(session, folder)} || { ${tail}; exit 1; }`,
    '  sleep 0.2',
    '  i=$((i + 1))',
    'done',
    tail,
    'exit 2',
  ]);
}

/**
 * The script that waits until the log of the coordinator tells that all these ranks have joined, or
 * its session or the time is over. It prints the ranks that have not.
 */
export function awaitJoinsScript(
  session: string,
  { workdir }: Host,
  ranks: readonly number[],
  seconds: number,
): string {
  const folder = `${quotePath(workdir)}/${LAUNCH_FOLDER}`;
  const log = quotePath(logPath(session));
  return plainScript([
    `missing='${ranks.join(' ')}'; i=0`,
    `while [ -n "$missing" ] && [ $i -lt ${seconds * POLLS_PER_SECOND} ]; do`,
    '  left=',
    `  for r in $missing; do grep -q -F -e "+ rank $r joined" ${log} || left="$left $r"; done`,
    '  missing=$left',
    `  [ -z "$missing" ] || ${isThere(session, folder)} || break`,
    '  [ -z "$missing" ] || sleep 0.2',
    '  i=$((i + 1))',
    'done',
    'echo $missing',
  ]);
}

/** The script that prints a file of the launch. */
export function readScript(name: string, { workdir }: Host): string {
  return plainScript([`cat ${quotePath(workdir)}/${LAUNCH_FOLDER}/${name}`]);
}

/** The command that runs a script on its standard input, whatever the user's own shell is. */
export const PLAIN_SHELL = 'sh -s';

/** Lines as a script that is read to its end before it begins: programs in it read nothing. */
export function plainScript(lines: readonly string[]): string {
  return ['{', `  ${FIND_PROGRAMS}`, ...lines.map((line) => `  ${line}`), '} </dev/null', ''].join(
    '\n',
  );
}

/** The test whether a session is there, of either kind. */
export function isThere(session: string, folder: string): string {
  return (
    `{ tmux has-session -t "=${session}" 2>/dev/null || ` +
    `kill -0 "$(cat ${folder}/${session}.pid 2>/dev/null)" 2>/dev/null; }`
  );
}

/** Whatever the login shell of the user is, `sh` gets the line. */
function shell(script: string): string {
  return `sh -c ${quote(`${FIND_PROGRAMS}; ${script}`)}`;
}
