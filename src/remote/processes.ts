/** The programs that a launch starts on hosts: all their command lines are made here. */
import { quote, quotePath } from './quote.ts';
import type { Host, Post } from './host.ts';

/** Where a session's files lie on its host. */
export const LAUNCH_FOLDER = 'launch';

/** The settings of the coordinator, in the folder of the launch. */
export const CONFIG_NAME = 'config.yaml';

/** The link that the coordinator makes, in the folder of the launch. */
export const LINK_NAME = 'link';

/** How the program is started on a host: Node.js, and the file that it runs. */
export interface Program {
  readonly node: string;
  /** Folder of the installed package, below the working folder. */
  readonly packageFolder: string;
}

/** The name of the session of a worker, as SmolCluster has it: of rank 0 it is `worker1`. */
export function workerSession(rank: number): string {
  return `worker${rank + 1}`;
}

/** The session of the coordinator, as SmolCluster has it. */
export const COORDINATOR_SESSION = 'server';

/** The command of the coordinator, with `flags`, for `sh` in the working folder. */
export function coordinatorCommand(program: Program, flags: readonly string[]): string {
  const words = ['coordinator', `${LAUNCH_FOLDER}/${CONFIG_NAME}`, ...flags];
  return `${lockstep(program)} ${words.map(quote).join(' ')}`;
}

/** How a worker comes to its run: by a link in a file of its host, or by an address alone. */
export type Way =
  | { readonly kind: 'link' }
  | { readonly kind: 'address'; readonly address: string; readonly isInsecure: boolean };

/** Where a worker's link lies on its host: one for each, since their addresses may differ. */
export function linkName(session: string): string {
  return `${session}.link`;
}

/**
 * The command of a worker, for `sh` in the working folder. The `cores` of the host are shared by its
 * workers, unless it has lanes of its own. No secret is among its words.
 */
export function workerCommand(
  program: Program,
  { host, rank }: Post,
  way: Way,
  cores?: number,
): string {
  const { device, dataDir, workers, interface: names } = host;
  const share = cores === undefined || workers === 1 || device !== 'cpu' ? undefined : cores;
  const lanes = host.lanes ?? (share && Math.max(1, Math.floor(share / workers)));
  const words = [...wordsOf(way, rank), '--rank', String(rank), '--device', device];
  const threads = lanes === undefined ? '' : ` --lanes ${lanes}`;
  const data = dataDir === undefined ? '' : ` --data-dir ${quotePath(dataDir)}`;
  const networks = names === undefined ? '' : ` --interface ${quote(names)}`;
  return `${lockstep(program)} ${words.map(quote).join(' ')}${threads}${data}${networks}`;
}

/** The log of a session, where SmolCluster has it: in the user's home. */
export function logPath(session: string): string {
  return `~/${session}.log`;
}

function wordsOf(way: Way, rank: number): string[] {
  if (way.kind === 'link')
    return ['join', '--link-file', `${LAUNCH_FOLDER}/${linkName(workerSession(rank))}`];
  return ['worker', '--join', way.address, ...(way.isInsecure ? ['--insecure'] : [])];
}

function lockstep({ node, packageFolder }: Program): string {
  return `${quotePath(node)} ${quote(`${packageFolder}/bin/lockstep.js`)}`;
}

/**
 * The script of a session: runs the command in the working folder, keeps what it prints in the log
 * and its exit code in a file, and starts a worker that dies again: after a second, and if it dies
 * again within a minute of its start after twice as long, five times in a row at most. Not started
 * again is who was told to end, was started wrongly, or whose run is over.
 */
export function sessionScript(
  session: string,
  { workdir }: Host,
  command: string,
  isStartedAgain: boolean,
): string {
  const log = quotePath(logPath(session));
  const lines = isStartedAgain ? keepRunning(session, command) : [command, 'code=$?'];
  return [
    '# Written by `lockstep launch`.',
    `cd ${quotePath(workdir)} || exit 1`,
    // Ctrl-C in the session is for the program: this script tells how it ended.
    'trap : INT',
    'export LOCKSTEP_NO_BUILD=1 NO_COLOR=1',
    '{',
    '  trap : INT',
    ...lines.map((line) => `  ${line}`),
    `  echo "$code" >${LAUNCH_FOLDER}/${session}.exit`,
    `  rm -f ${LAUNCH_FOLDER}/${session}.pid`,
    `} 2>&1 | tee -i ${log}`,
    '',
  ].join('\n');
}

const MOST_DEATHS = 5;
const STEADY_SECONDS = 60;

function keepRunning(session: string, command: string): string[] {
  return [
    'deaths=0 pause=1',
    'while :; do',
    '  began=$(date +%s)',
    `  ${command}`,
    '  code=$?',
    '  case $code in 0 | 2 | 130) break ;; esac',
    `  [ $(($(date +%s) - began)) -lt ${STEADY_SECONDS} ] || { deaths=0 pause=1; }`,
    '  deaths=$((deaths + 1))',
    `  if [ "$deaths" -gt ${MOST_DEATHS} ]; then`,
    `    echo "lockstep launch: ${session} is not started again: exit code $code"`,
    '    break',
    '  fi',
    `  echo "lockstep launch: ${session} is started again in $pause s: exit code $code"`,
    '  sleep "$pause"',
    '  pause=$((pause * 2))',
    'done',
  ];
}
