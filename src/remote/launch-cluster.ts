/** The steps of a launch: copy the package to all hosts, start coordinator and workers. */
import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { joinLinkText, parseJoinLink } from '../access/join-link.ts';
import { LockstepError } from '../base/errors.ts';
import type { Address } from '../transport/tcp.ts';
import { inParallel } from './each-host.ts';
import { type Cluster, type Host, type Post, postsOf } from './host.ts';
import type { LaunchHost } from './launch-host.ts';
import { removeOldPackages } from './old-packages.ts';
import type { PackageFiles } from './package-files.ts';
import {
  CONFIG_NAME,
  COORDINATOR_SESSION,
  coordinatorCommand,
  LINK_NAME,
  linkName,
  type Program,
  sessionScript,
  type Way,
  workerCommand,
  workerSession,
} from './processes.ts';
import { quote, quotePath } from './quote.ts';
import type { Runner } from './runner.ts';
import {
  awaitJoinsScript,
  awaitScript,
  keepCommand,
  PLAIN_SHELL,
  readScript,
  type SessionKind,
  startCommand,
} from './sessions.ts';

const COPY_MS = 10 * 60_000;
const START_MS = 20_000;
/** A coordinator reads its data and compiles its model before it listens. */
const LISTEN_SECONDS = 120;
/** A worker tries again to join for longer than that. */
const JOIN_SECONDS = 20;
const COPIES_AT_ONCE = 4;
/** A name may mean another address to the host itself. */
const IP_ADDRESS = /^[\d.]+$|:/;

/** What a launch needs to know. */
export interface LaunchPlan {
  readonly cluster: Cluster;
  readonly runner: Runner;
  /** Name of the package as it is installed here. */
  readonly packageName: string;
  readonly packages: PackageFiles | undefined;
  /** Where the coordinator listens, and where workers reach it unless their host says otherwise. */
  readonly listen: string;
  readonly address: string;
  readonly port: number;
  /** What the command of the coordinator has beside its settings. */
  readonly coordinatorFlags: readonly string[];
  /** Whether workers need a link to join; if not, whether that is dangerous. */
  readonly isKeyed: boolean;
  readonly isInsecure: boolean;
  /** Told of each thing that is done. */
  readonly tell: (line: string) => void;
}

/**
 * Where a coordinator listens: where the file says, or at its address in the network of the
 * training, or in all networks.
 */
export function listenAddress({ coordinator, hosts, listen }: Cluster): string {
  const { address = '' } = coordinator;
  const isForAll = hosts.every(({ join }) => join === undefined);
  return listen ?? (isForAll && IP_ADDRESS.test(address) ? address : '0.0.0.0');
}

/** Copies the package to hosts that do not have this build, and removes old ones. */
export async function installPackage(
  { runner, packageName, packages, tell }: LaunchPlan,
  hosts: readonly LaunchHost[],
): Promise<void> {
  const lacking = hosts.filter((one) => !one.packages.includes(packageName));
  await inParallel(
    lacking,
    async ({ host, node, packages: others }) => {
      const note = others.length > 0 ? ', it has another build' : '';
      tell(`${host.name}: copying ${packageName}${note}`);
      const file = node === undefined ? undefined : await packages?.fileFor(node);
      const stdin = file === undefined ? Readable.from([]) : createReadStream(file);
      const command = unpackCommand(host, packageName);
      const options = { stdin, deadlineMs: COPY_MS };
      await runChecked(runner, host, command, 'copying the package', options);
    },
    COPIES_AT_ONCE,
  );
  await removeOldPackages(runner, hosts, packageName, tell);
}

/** Unpacks beside its place first: a copy that broke off is never taken for a package. */
function unpackCommand({ workdir }: Host, packageName: string): string {
  const folder = `${quotePath(workdir)}/packages`;
  const place = `${folder}/${quote(packageName)}`;
  const script =
    `umask 077; mkdir -p ${folder}/.new-$$ && tar -x -z -f - -C ${folder}/.new-$$ && ` +
    `{ [ -d ${place} ] || mv ${folder}/.new-$$ ${place}; } && touch ${place}; code=$?; ` +
    `rm -rf ${folder}/.new-$$; exit $code`;
  return `sh -c ${quote(script)}`;
}

/**
 * Starts the coordinator with these settings. Resolves when it listens, with the link that workers
 * join by; undefined when they join without a key.
 */
export async function startCoordinator(
  plan: LaunchPlan,
  report: LaunchHost,
  configText: string,
): Promise<string | undefined> {
  const { runner, listen, port, tell } = plan;
  const { host } = report;
  const keep = keepCommand(CONFIG_NAME, host);
  await runChecked(runner, host, keep, 'writing the settings', { stdin: configText });
  const command = coordinatorCommand(programOn(plan, report), plan.coordinatorFlags);
  await startSession(plan, report, COORDINATOR_SESSION, command, false);
  const text = `coordinator ${listen}:${port},`;
  const stdin = awaitScript(COORDINATOR_SESSION, host, text, LISTEN_SECONDS);
  const deadlineMs = (LISTEN_SECONDS + 10) * 1000;
  const what = 'the coordinator did not begin';
  await runChecked(runner, host, PLAIN_SHELL, what, { stdin, deadlineMs });
  tell(`${host.name}: ${COORDINATOR_SESSION} listens on ${listen}:${port}`);
  return plan.isKeyed ? readLink(plan, host) : undefined;
}

/** The link as the coordinator has made it, which is a secret. */
async function readLink({ runner }: LaunchPlan, host: Host): Promise<string> {
  const { stdout } = await runner.run(host, PLAIN_SHELL, { stdin: readScript(LINK_NAME, host) });
  return stdout.trim();
}

/** A link for a worker that knows a way: that is tried before those that the coordinator told. */
function linkBy(text: string, address: Address): string {
  if (text === '') return '<the link of the coordinator>';
  const { addresses, token } = parseJoinLink(text);
  const others = addresses.filter(({ host }) => host !== address.host);
  return joinLinkText({ addresses: [address, ...others], token });
}

function addressText({ host, port }: Address): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** Starts the workers of these hosts, all at the same time; `link` is what they join by. */
export async function startWorkers(
  plan: LaunchPlan,
  reports: readonly LaunchHost[],
  link: string | undefined,
): Promise<readonly Post[]> {
  const reportOf = new Map(reports.map((report) => [report.host, report]));
  const posts = postsOf(plan.cluster.hosts).filter(({ host }) => reportOf.has(host));
  await inParallel(posts, async (post) => {
    const report = reportOf.get(post.host);
    if (report === undefined) return;
    const address: Address = { host: post.host.join ?? plan.address, port: plan.port };
    const session = workerSession(post.rank);
    const way: Way =
      link === undefined
        ? { kind: 'address', address: addressText(address), isInsecure: plan.isInsecure }
        : { kind: 'link' };
    if (link !== undefined) {
      const keep = keepCommand(linkName(session), post.host);
      const options = { stdin: linkBy(link, address) };
      await runChecked(plan.runner, post.host, keep, 'writing the link', options);
    }
    const command = workerCommand(programOn(plan, report), post, way, report.cores);
    await startSession(plan, report, session, command, true);
    plan.tell(`${post.host.name}: ${session} started, rank ${post.rank}`);
  });
  return posts;
}

/** Waits until workers have joined, for a while, and gives those that have not. */
export async function awaitJoins(
  { cluster: { coordinator }, runner }: LaunchPlan,
  posts: readonly Post[],
): Promise<readonly Post[]> {
  const ranks = posts.map(({ rank }) => rank);
  const stdin = awaitJoinsScript(COORDINATOR_SESSION, coordinator, ranks, JOIN_SECONDS);
  const deadlineMs = (JOIN_SECONDS + 10) * 1000;
  const { stdout } = await runner.run(coordinator, PLAIN_SHELL, { stdin, deadlineMs });
  const missing = new Set((stdout.trim().split('\n').at(-1) ?? '').split(' ').filter(Boolean));
  return posts.filter(({ rank }) => missing.has(String(rank)));
}

async function startSession(
  { runner }: LaunchPlan,
  { host, node, hasTmux }: LaunchHost,
  session: string,
  command: string,
  isStartedAgain: boolean,
): Promise<void> {
  const stdin = sessionScript(session, host, command, isStartedAgain);
  const kind: SessionKind = hasTmux === false ? 'detached' : 'tmux';
  const start = startCommand(session, host, kind, node?.path ?? 'node');
  await runChecked(runner, host, start, `starting ${session}`, { stdin, deadlineMs: START_MS });
}

function programOn({ packageName }: LaunchPlan, { host, node }: LaunchHost): Program {
  const path = node?.path ?? host.node ?? 'node';
  return { node: path, packageFolder: `packages/${packageName}` };
}

/** Throws: HOST_FAILED with what the host said when a command does not end with 0. */
async function runChecked(
  runner: Runner,
  host: Host,
  command: string,
  what: string,
  options: Parameters<Runner['run']>[2],
): Promise<void> {
  const { exitCode, stdout, stderr } = await runner.run(host, command, options);
  if (exitCode === 0) return;
  const said = [...stdout.trim().split('\n'), ...stderr.trim().split('\n')].filter(Boolean);
  const words = said.slice(-5).join('; ') || `exit code ${exitCode}`;
  throw new LockstepError('HOST_FAILED', `${host.name}: ${what}: ${words}`, { exitCode });
}
