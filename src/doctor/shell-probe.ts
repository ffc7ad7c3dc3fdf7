/**
 * What a plain shell can find out on a host, whether it has Lockstep or not: a script that prints
 * `key=value` lines, and what they mean. Before a launch and for a diagnosis it is the same.
 */
import type { SshTarget } from '../remote/host.ts';
import { quote, quotePath } from '../remote/quote.ts';
import type { Runner } from '../remote/runner.ts';
import { PLAIN_SHELL } from '../remote/sessions.ts';
import { HostError } from '../remote/ssh-failures.ts';
import type { MachineFacts, Interface } from './checks/machine-facts.ts';
import { LEAST_NODE } from './checks/software-checks.ts';
import { isVirtualName, parseInputChains } from './facts/networks.ts';
import { macSleep } from './facts/sleep.ts';

/** Stands before the JSON document of the host's own doctor, if it has one. */
const OWN_REPORT = '--- its own report ---';
/** Names of sessions that a launch starts, and of packages that it copies. */
const SESSION = /^(?:server|worker[1-9]\d{0,4})$/;
const PACKAGE = /^[\w.+-]{1,100}$/;

/** Where Node.js is found though a shell without a terminal does not look there. */
const NODE_PLACES = [
  '/opt/homebrew/bin/node',
  '/usr/local/bin/node',
  '/opt/node/bin/node',
  '"$HOME"/.volta/bin/node',
  '"$HOME"/.nvm/versions/node/*/bin/node',
  '"$HOME"/.local/share/fnm/node-versions/*/installation/bin/node',
  '"$HOME"/.asdf/shims/node',
].join(' ');
/** Any Node.js of the last ten years reads this. */
const NODE_SAYS =
  'var p = process, r = p.report && p.report.getReport && p.report.getReport().header; ' +
  'var has = p.platform !== "linux" || Boolean(r && r.glibcVersionRuntime); ' +
  'console.log([p.versions.node, p.platform, p.arch, has ? "library" : "none", p.execPath]' +
  '.join(" "))';
const [MAJOR = '', MINOR = ''] = LEAST_NODE.split('.');

/**
 * Takes the folder for all that is put on the host, the Node.js that it is to have (or nothing),
 * and `full` if its own doctor is to be asked. Programs in it read nothing of the script.
 */
const SCRIPT = `
{
LC_ALL=C; export LC_ALL
folder=$1 runs=$1 wanted=$2
while [ ! -d "$runs" ]; do
  case $runs in */*) runs=\${runs%/*}; [ -n "$runs" ] || runs=/ ;; *) runs=. ;; esac
done
say() { printf '%s=%s\\n' "$1" "$2"; }
has() { command -v "$1" >/dev/null 2>&1; }
fits() {
  major=\${1%%.*} rest=\${1#*.}; minor=\${rest%%.*}
  [ "\${major:-0}" -gt ${MAJOR} ] || [ "\${major:-0}" -eq ${MAJOR} -a "$minor" -ge ${MINOR} ]
} 2>/dev/null
look() {
  for one in "$@"; do
    { [ -f "$one" ] && [ -x "$one" ] && ! fits "$said"; } || continue
    answer=$("$one" -e ${quote(NODE_SAYS)} 2>/dev/null)
    if fits "$answer" || [ -z "$said" ]; then node=$one said=$answer; fi
  done
}
say platform "$(uname -s)"; say release "$(uname -r)"; say arch "$(uname -m)"
say hostname "$(uname -n)"; say user "$(id -un)"
found=$(command -v "\${wanted:-node}") node='' said=''
PATH="$PATH:/opt/homebrew/bin:/usr/local/bin"; export PATH
look "$found"
[ -n "$wanted" ] || look ${NODE_PLACES}
if [ -n "$said" ]; then
  say node "$node"; say version "\${said%% *}"; say build "\${said#* }"
  [ "$node" = "$found" ] && say onpath yes
  PATH="\${node%/*}:$PATH"
fi
for one in ssh tmux tar; do has $one && say has $one; done
for one in apt-get dnf pacman apk zypper brew; do has $one && { say installer $one; break; }; done
say files "$(ulimit -H -n 2>/dev/null || ulimit -n)"
say cores "$(getconf _NPROCESSORS_ONLN 2>/dev/null)"
say load "$(cut -d' ' -f1 /proc/loadavg 2>/dev/null)"
while read -r key kilobytes rest; do
  case $key in
    MemAvailable:) say available "$kilobytes" ;;
    MemTotal:) say total "$kilobytes" ;;
  esac
done 2>/dev/null </proc/meminfo
for one in "$runs" /tmp /dev/shm; do
  [ -d "$one" ] || continue
  [ -w "$one" ] && free=$(df -Pk "$one" 2>/dev/null | tail -1 | awk '{print $4}') || free=closed
  say place "$free $one"
done
if has timedatectl; then say ntp "$(timedatectl show -p NTPSynchronized --value 2>/dev/null)"; fi
grep -q '^ENABLED=yes' /etc/ufw/ufw.conf 2>/dev/null && say firewall ufw
[ "$(firewall-cmd --state 2>/dev/null)" = running ] && say firewall firewalld
has pmset && say sleep "$(pmset -g | grep '^ *sleep ')"
if has ip; then ip -o addr show scope global 2>/dev/null | while read -r _ name _ address _; do
  say address "$name \${address%%/*}"
done; else ifconfig 2>/dev/null | while read -r first second rest; do
  case $first in *:) name=\${first%:} ;; inet) say address "$name $second" ;; esac
done; fi
for one in /sys/class/net/*; do
  [ -d "$one/wireless" ] && say wireless "\${one##*/}"
  speed=$(cat "$one/speed" 2>/dev/null) && say speed "\${one##*/} $speed"
done
has nft && nft list chains 2>/dev/null | while IFS= read -r line; do say nft "$line"; done
for one in "$folder"/packages/*/package.json; do
  [ -f "$one" ] && { one=\${one%/*}; say package "\${one##*/}"; }
done
has tmux && tmux list-sessions -F 'session=#{session_name}' 2>/dev/null
for one in "$folder"/launch/*.pid; do
  [ -f "$one" ] && kill -0 "$(cat "$one")" 2>/dev/null || continue
  one=\${one##*/}; say session "\${one%.pid}"
done
if [ "$report" = full ]; then
  lockstep=$(command -v lockstep)
  [ -n "$lockstep" ] || for one in "$folder"/packages/*/bin/lockstep.js \\
    "$folder"/node_modules/.bin/lockstep "$HOME"/node_modules/.bin/lockstep; do
    [ -f "$one" ] && lockstep=$one
  done
  case $lockstep in
    *.js) run() { "$node" "$lockstep" "$@"; } ;;
    *) run() { "$lockstep" "$@"; } ;;
  esac
  if [ -n "$lockstep" ]; then
    say lockstep "$(run --version 2>/dev/null)"
    echo '${OWN_REPORT}'
    run doctor --json --out-dir "$runs" 2>/dev/null
  fi
else say time "$(date +%s)"; fi
exit 0
} </dev/null
`;

/** A host as far as the script is concerned. */
export interface Probed {
  /** Folder for all that is put there; `~/` is the home of its user, as is nothing. */
  readonly workdir?: string | undefined;
  /** The program of Node.js there, if it is not to be looked for. */
  readonly node?: string | undefined;
}

/** The script for `sh` on a host; `full` asks its own doctor, too, which takes seconds. */
export function probeScript({ workdir = '~', node }: Probed, report: 'full' | 'brief'): string {
  const wanted = node === undefined ? "''" : quotePath(node);
  return `report=${report}; set -- ${quotePath(workdir)} ${wanted}${SCRIPT}`;
}

/** What the script printed. */
export interface ProbeAnswer {
  readonly facts: MachineFacts;
  /** Packages of ours that are installed there: version and build. */
  readonly packages: readonly string[];
  /** Sessions of a launch that are there, by name. */
  readonly sessions: readonly string[];
  /** Milliseconds since 1970 by its clock, unless its own doctor was asked. */
  readonly timeMs: number | undefined;
  /** As it came: another machine's JSON, if it has a doctor of its own. */
  readonly ownReport: string | undefined;
}

/** Asks a host. Throws: HostError when it is not reached, or has no shell that could answer. */
export async function askShell(
  runner: Runner,
  host: SshTarget & Probed,
  report: 'full' | 'brief',
  deadlineMs: number,
): Promise<ProbeAnswer> {
  const stdin = probeScript(host, report);
  const { stdout, exitCode } = await runner.run(host, PLAIN_SHELL, { stdin, deadlineMs });
  const answer = parseProbe(stdout);
  if (exitCode === 0 && answer.facts.platform !== '') return answer;
  throw new HostError(
    host.name,
    'ended',
    `a plain shell was expected there, and \`sh -s\` ended with ${exitCode}`,
    'On Windows install OpenSSH with a POSIX shell, or run `lockstep doctor` there',
  );
}

/** Reads what the script printed. Lines that it cannot have printed are left out. */
export function parseProbe(text: string): ProbeAnswer {
  const [lines = '', ownReport] = text.split(`${OWN_REPORT}\n`);
  const pairs = lines.split('\n').flatMap((line): (readonly [string, string])[] => {
    const at = line.indexOf('=');
    return at < 1 ? [] : [[line.slice(0, at), line.slice(at + 1)]];
  });
  const all = (key: string): string[] =>
    pairs.flatMap(([name, value]) => (name === key ? [value] : []));
  const one = (key: string): string | undefined => all(key).find((value) => value !== '');
  const seconds = numberIn(one('time'));
  return {
    facts: factsFrom(all, one),
    packages: all('package').filter((name) => PACKAGE.test(name)),
    sessions: [...new Set(all('session').filter((name) => SESSION.test(name)))],
    timeMs: seconds === undefined ? undefined : 1000 * seconds,
    ownReport,
  };
}

type Get<T> = (key: string) => T;

const PLATFORMS: Readonly<Record<string, string>> = { Darwin: 'darwin', Linux: 'linux' };
const INSTALLERS = ['apt-get', 'dnf', 'pacman', 'apk', 'zypper', 'brew'] as const;
const FIREWALLS = ['ufw', 'firewalld'] as const;

function factsFrom(all: Get<string[]>, one: Get<string | undefined>): MachineFacts {
  const system = one('platform') ?? '';
  const build = buildFrom(one('build'));
  const platform = build?.platform ?? PLATFORMS[system] ?? system.toLowerCase();
  const programs = all('has');
  const numberOf = (key: string): number | undefined => numberIn(one(key));
  const [cores, load] = [numberOf('cores'), numberOf('load')];
  const [available, total] = [numberOf('available'), numberOf('total')];
  const installer = INSTALLERS.find((name) => name === one('installer'));
  const firewall = FIREWALLS.find((name) => name === one('firewall'));
  const sleep = macSleep(one('sleep') ?? '');
  const files = one('files') === 'unlimited' ? Number.MAX_SAFE_INTEGER : numberOf('files');
  const ntp = one('ntp');
  return withoutUnknown({
    platform,
    release: one('release'),
    arch: build?.arch ?? one('arch'),
    hostname: one('hostname'),
    user: one('user'),
    node: nodeFrom(one),
    isGlibc: build?.isGlibc,
    lockstep: one('lockstep') ?? null,
    cores:
      cores === undefined
        ? undefined
        : { usable: cores, present: cores, ...(load !== undefined && { load }) },
    memory:
      available === undefined || total === undefined
        ? undefined
        : { availableBytes: 1024 * available, totalBytes: 1024 * total },
    places: all('place').flatMap(placeFrom),
    isClockSynchronised: ntp === undefined ? undefined : ntp === 'yes',
    openFiles: files,
    interfaces: interfacesFrom(all),
    programs: {
      ssh: programs.includes('ssh'),
      tmux: programs.includes('tmux'),
      tar: programs.includes('tar'),
    },
    installer,
    firewall,
    inputChains: parseInputChains(all('nft').join('\n')),
    sleep,
  });
}

function nodeFrom(one: Get<string | undefined>): MachineFacts['node'] {
  const [program, version] = [one('node'), one('version')];
  if (program === undefined || !/^v?\d+\.\d+\.\d+/.test(version ?? '')) return null;
  const isOnPath = one('onpath') === 'yes';
  return {
    program: buildFrom(one('build'))?.program ?? program,
    version: (version ?? '').replace(/^v/, ''),
    isOnPath,
  };
}

/** What a Node.js says of itself and of the system that it was built for. */
interface Build {
  readonly platform: string;
  readonly arch: string;
  readonly isGlibc: boolean | undefined;
  /** Where it is, behind links. */
  readonly program: string;
}

function buildFrom(text = ''): Build | undefined {
  const match = /^(\w+) (\w+) (library|none) (.+)$/.exec(text);
  const [, platform = '', arch = '', library, program = ''] = match ?? [];
  if (match === null) return undefined;
  return {
    platform,
    arch,
    isGlibc: platform === 'linux' ? library === 'library' : undefined,
    program,
  };
}

function placeFrom(text: string): NonNullable<MachineFacts['places']> {
  const [, free = '', folder = ''] = /^(\S+) (.+)$/.exec(text) ?? [];
  const purpose =
    folder === '/dev/shm' ? 'shared memory' : folder === '/tmp' ? 'temporary files' : 'runs';
  if (free === 'closed') return [{ folder, purpose, problem: 'this user may not write there' }];
  const kilobytes = numberIn(free);
  return kilobytes === undefined ? [] : [{ folder, purpose, freeBytes: 1024 * kilobytes }];
}

function interfacesFrom(all: Get<string[]>): Interface[] {
  const byName = new Map<string, string[]>();
  for (const line of all('address')) {
    const [name = '', address = ''] = line.split(' ');
    const isLoopback = address.startsWith('127.') || address === '::1';
    if (address !== '' && !isLoopback) byName.set(name, [...(byName.get(name) ?? []), address]);
  }
  const speeds = new Map(all('speed').map((line) => line.split(' ') as [string, string]));
  return [...byName].map(([name, addresses]) => {
    const speed = numberIn(speeds.get(name));
    const isVirtual = isVirtualName(name);
    return {
      name,
      addresses: addresses.slice(0, 64),
      ...(all('wireless').includes(name) && { isWireless: true }),
      ...(isVirtual && { isVirtual }),
      ...(speed !== undefined && !isVirtual && { megabitsPerSecond: speed }),
    };
  });
}

function withoutUnknown<T extends object>(facts: T): T {
  const pairs = Object.entries(facts).filter(([, value]) => value !== undefined);
  return Object.fromEntries(pairs) as T;
}

function numberIn(text: string | undefined): number | undefined {
  const value = Number(text);
  return text === undefined || text === '' || !(value >= 0) ? undefined : value;
}
