/** A look at the hosts of a launch before anything is started: what each has, and lacks. */
import { inParallel } from '../remote/each-host.ts';
import type { Cluster, Host } from '../remote/host.ts';
import type { LaunchHost } from '../remote/launch-host.ts';
import type { Runner } from '../remote/runner.ts';
import { HostError } from '../remote/ssh-failures.ts';
import { installCommand } from './checks/remedies.ts';
import { type Finding, type Problem, hasErrors } from './checks/finding.ts';
import { checkClock, checkPlace, checkSleep, type DiskNeed } from './checks/machine-checks.ts';
import type { MachineFacts } from './checks/machine-facts.ts';
import { checkNode, checkPrograms, checkRuntime } from './checks/software-checks.ts';
import { explainSsh } from './checks/ssh-check.ts';
import { EXPECTED } from './examine-this-machine.ts';
import { askShell, type ProbeAnswer } from './shell-probe.ts';

/** A host gets so long to answer what it has. */
const PROBE_MS = 20_000;
/** The package is 170 MB when it is unpacked. */
const LAUNCH_NEEDS: DiskNeed = { least: 500e6, little: 2e9 };
/** Its clock tells whole seconds. */
const GRAIN_MS = 1_000;

/** A host after it was looked at; without facts it could not be. */
export interface HostReport extends LaunchHost {
  readonly facts: MachineFacts | undefined;
  /** What may hurt; an error keeps it out. */
  readonly problems: readonly Problem[];
}

/** Looks at all hosts at the same time. */
export async function inspectHosts(
  { hosts }: Cluster,
  runner: Runner,
): Promise<readonly HostReport[]> {
  return inParallel(hosts, async (host) => inspect(host, runner));
}

/** Splits reports into those that can take part and the others. */
export function sortReports(reports: readonly HostReport[]): {
  readonly ready: readonly HostReport[];
  readonly unfit: readonly HostReport[];
} {
  const isUnfit = ({ problems }: HostReport): boolean => hasErrors(problems);
  return { ready: reports.filter((one) => !isUnfit(one)), unfit: reports.filter(isUnfit) };
}

async function inspect(host: Host, runner: Runner): Promise<HostReport> {
  const askedMs = Date.now();
  try {
    const answer = await askShell(runner, host, 'brief', PROBE_MS);
    return judge(host, answer, askedMs, Date.now());
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    const { target, user, port, identity } = host;
    const way = { target, user, port: port === undefined ? undefined : String(port), identity };
    const problems = [explainSsh(error, way)];
    return { host, packages: [], sessions: [], facts: undefined, problems };
  }
}

/** Judges what a host said. `askedMs` and `answeredMs` are ours, since 1970. */
export function judge(
  host: Host,
  { facts: said, packages, sessions, timeMs }: ProbeAnswer,
  askedMs: number,
  answeredMs: number,
): HostReport {
  const facts = { ...said, ...clockOf(timeMs, askedMs, answeredMs) };
  const { node, platform = '', arch = '', cores, programs } = facts;
  return {
    host,
    node: node ? { path: node.program ?? 'node', platform, arch } : undefined,
    cores: cores?.usable,
    hasTmux: programs?.tmux,
    packages,
    sessions,
    facts,
    problems: findingsOf(facts).filter((one): one is Problem => one.severity !== 'ok'),
  };
}

/** What concerns a launch, of all that can be said of a host. */
function findingsOf(facts: MachineFacts): Finding[] {
  const { node, places = [] } = facts;
  // It is started by its path, wherever that is.
  const found = node ? { ...node, isOnPath: true } : node;
  return [
    ...checkNode({ ...facts, node: found }, EXPECTED).map(withOwnNode),
    ...(node ? checkRuntime(facts) : []),
    ...places.filter(({ purpose }) => purpose === 'runs').flatMap(forPackage),
    ...checkClock(facts),
    ...checkSleep(facts),
    ...checkPrograms({ programs: { ...facts.programs, ssh: undefined } }, (name) =>
      installCommand(facts, name),
    ).map(asNeeded),
  ];
}

function forPackage(place: Parameters<typeof checkPlace>[0]): Finding[] {
  return checkPlace(place, LAUNCH_NEEDS);
}

function withOwnNode(finding: Finding): Finding {
  if (finding.severity === 'ok') return finding;
  const remedy = `${finding.remedy}; one that was not found: its path as \`node\` of the host`;
  return { ...finding, remedy };
}

/** Without tar nothing can be copied there. */
function asNeeded(finding: Finding): Finding {
  return finding.id === 'tar-missing' && finding.severity === 'warning'
    ? { ...finding, severity: 'error' }
    : finding;
}

/** Its clock told a time between our question and its answer, unless it goes wrong. */
function clockOf(
  timeMs: number | undefined,
  askedMs: number,
  answeredMs: number,
): Pick<MachineFacts, 'clock'> {
  if (timeMs === undefined) return {};
  const aheadMs = timeMs + GRAIN_MS / 2 - (askedMs + answeredMs) / 2;
  return { clock: { aheadMs, uncertainMs: (answeredMs - askedMs + GRAIN_MS) / 2 } };
}
