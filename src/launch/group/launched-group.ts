/**
 * The group of processes that a launcher has started, as each of them finds it in its environment:
 * the same command runs in all, and each has a rank.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { ConfigError } from '../../base/errors.ts';
import { expandHosts, tasksOfNode } from './node-list.ts';

type Environment = NodeJS.ProcessEnv;

/** A rank, and the variable that has it. */
export interface LaunchedRank {
  readonly rank: number;
  readonly name: string;
}

/** What one process knows of its group. */
export interface LaunchedGroup extends LaunchedRank {
  /** The launcher, as its users call it. */
  readonly launcher: string;
  readonly size: number;
  /** How many of the group are on this machine; undefined: the launcher does not tell. */
  readonly localSize: number | undefined;
  /** Where rank 0 is reached, as far as the launcher tells. */
  readonly leader: { readonly host: string; readonly port: number | undefined } | undefined;
  /** What all processes of this start have in common, and no other start. */
  readonly id: readonly string[];
}

/** By which variables a launcher tells what. */
interface Launcher {
  readonly name: string;
  readonly rank: string;
  readonly size: readonly string[];
  readonly localSize: (environment: Environment) => number | undefined;
  readonly leader: (environment: Environment) => LaunchedGroup['leader'];
  readonly id: (environment: Environment) => readonly (string | undefined)[];
  /** Whether the variables are meant for this process; else they are of somebody around it. */
  readonly isMeant?: (environment: Environment) => boolean;
}

const MAX_RANK = 65_535;

/**
 * In the order in which they are believed: who starts processes itself knows better than what it
 * runs in.
 */
const LAUNCHERS: readonly Launcher[] = [
  {
    name: 'torchrun',
    rank: 'RANK',
    size: ['WORLD_SIZE'],
    localSize: (env) => wholeOf(env['LOCAL_WORLD_SIZE']),
    leader: masterOf,
    id: (env) => [
      ...valuesOf(env, ['TORCHELASTIC_RUN_ID', 'TORCHELASTIC_RESTART_COUNT', 'SLURM_JOB_ID']),
      ...valuesOf(env, ['MASTER_ADDR', 'MASTER_PORT']),
    ],
  },
  {
    name: 'Open MPI',
    rank: 'OMPI_COMM_WORLD_RANK',
    size: ['OMPI_COMM_WORLD_SIZE'],
    localSize: (env) => wholeOf(env['OMPI_COMM_WORLD_LOCAL_SIZE']),
    leader: masterOf,
    id: (env) => valuesOf(env, ['PMIX_NAMESPACE', 'OMPI_MCA_orte_precondition_transports']),
  },
  {
    name: 'MPICH',
    rank: 'PMI_RANK',
    size: ['PMI_SIZE'],
    localSize: (env) => wholeOf(env['MPI_LOCALNRANKS']),
    leader: masterOf,
    id: (env) => [...valuesOf(env, ['SLURM_JOB_ID']), hydraPlace()],
    isMeant: (env) => env['MPI_LOCALNRANKS'] !== undefined || env['SLURM_STEP_ID'] === undefined,
  },
  {
    name: 'PMIx',
    rank: 'PMIX_RANK',
    size: ['WORLD_SIZE'],
    localSize: () => undefined,
    leader: masterOf,
    id: (env) => valuesOf(env, ['PMIX_NAMESPACE']),
    isMeant: isOfPmix,
  },
  {
    name: 'srun',
    rank: 'SLURM_PROCID',
    size: ['SLURM_STEP_NUM_TASKS', 'SLURM_NTASKS'],
    localSize: (env) => tasksOfNode(env['SLURM_STEP_TASKS_PER_NODE'], env['SLURM_NODEID']),
    leader: (env) => masterOf(env) ?? firstHostOf(env['SLURM_STEP_NODELIST']),
    id: (env) => valuesOf(env, ['SLURM_JOB_ID', 'SLURM_STEP_ID', 'SLURM_RESTART_COUNT']),
    // A batch script has a rank, too, but is no step of the job.
    isMeant: (env) => env['SLURM_STEP_ID'] !== undefined && !isOfPmix(env),
  },
  {
    name: 'Kubernetes',
    rank: 'JOB_COMPLETION_INDEX',
    size: ['WORLD_SIZE'],
    localSize: () => 1,
    leader: masterOf,
    id: (env) => valuesOf(env, ['MASTER_ADDR']),
  },
];

/** The rank of this process by whom is believed first; undefined if nobody gives one. */
export function launchedRank(environment: Environment): LaunchedRank | undefined {
  for (const launcher of LAUNCHERS) {
    const rank = rankBy(launcher, environment);
    if (rank !== undefined) return { rank, name: launcher.rank };
  }
  return undefined;
}

/**
 * The group that this process is one of, if a launcher tells its rank and how many there are;
 * undefined if it is alone.
 *
 * Throws: ConfigError when launchers contradict each other, so that every process would train
 *         alone, or several have the same rank.
 */
export function launchedGroup(environment: Environment): LaunchedGroup | undefined {
  const groups = LAUNCHERS.flatMap((launcher) => groupBy(launcher, environment) ?? []);
  const [first, ...others] = groups;
  if (first === undefined) return undefined;
  if (first.rank >= first.size)
    throw new ConfigError(
      `${first.name}: expected a rank below ${first.size}, as many as there are, got ${first.rank}`,
    );
  const lonely = first.size === 1 ? others.find(({ size }) => size > 1) : undefined;
  const odd = lonely ?? others.find((other) => contradicts(first, other, environment));
  if (odd !== undefined) throw contradiction(first, odd);
  return first.size > 1 ? first : undefined;
}

function groupBy(launcher: Launcher, environment: Environment): LaunchedGroup | undefined {
  const rank = rankBy(launcher, environment);
  const size = launcher.size
    .map((name) => wholeOf(environment[name]))
    .find((value) => value !== undefined);
  if (rank === undefined || size === undefined || size < 1) return undefined;
  const values = launcher.id(environment).map((value) => value ?? '');
  return {
    launcher: launcher.name,
    ...{ rank, name: launcher.rank, size },
    localSize: launcher.localSize(environment),
    leader: launcher.leader(environment),
    id: [launcher.name, String(size), ...values],
  };
}

function rankBy({ rank: name, isMeant }: Launcher, environment: Environment): number | undefined {
  const rank = wholeOf(environment[name]);
  return isMeant?.(environment) === false ? undefined : rank;
}

/**
 * A rank that was set by hand in front of a launcher is inherited by all that this one starts. Who
 * starts processes itself, as torchrun does, sets more than that.
 */
function contradicts(first: LaunchedGroup, other: LaunchedGroup, env: Environment): boolean {
  const isByHand = first.name === 'RANK' && env['LOCAL_RANK'] === undefined;
  const isOfProcess = other.launcher !== 'Kubernetes' && other.launcher !== 'PMIx';
  return isByHand && isOfProcess && (first.rank !== other.rank || first.size !== other.size);
}

function contradiction(first: LaunchedGroup, other: LaunchedGroup): ConfigError {
  const text = ({ name, rank, size, launcher }: LaunchedGroup): string =>
    `by ${name} (${launcher}) this is rank ${rank} of ${size}`;
  return new ConfigError(
    `${text(first)}, ${text(other)}: one of the two is of another program, and processes would ` +
      `train alone, or have the same rank. To go by the latter, unset ${first.name}; to go by ` +
      `the former, start them without ${other.launcher}`,
  );
}

/** A name for all processes of this start of the group, of letters and digits. */
export function groupName({ id }: LaunchedGroup, command: readonly string[]): string {
  return createHash('sha256')
    .update(JSON.stringify([...id, ...command]))
    .digest('hex')
    .slice(0, 24);
}

function wholeOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,5}$/.test(text) && Number(text) <= MAX_RANK
    ? Number(text)
    : undefined;
}

/** Whether PMIx has numbered this process by itself, and not for srun, which knows more. */
function isOfPmix({ PMIX_RANK: rank, PMIX_NAMESPACE: space = '' }: Environment): boolean {
  return rank !== undefined && !space.startsWith('slurm.');
}

function valuesOf(environment: Environment, names: readonly string[]): (string | undefined)[] {
  return names.map((name) => environment[name]);
}

function masterOf(environment: Environment): LaunchedGroup['leader'] {
  const host = environment['MASTER_ADDR'];
  if (host === undefined || !/^[\w.:-]{1,255}$/.test(host)) return undefined;
  const port = wholeOf(environment['MASTER_PORT']);
  // The agent of torchrun listens there itself.
  const isTaken = environment['TORCHELASTIC_USE_AGENT_STORE'] === 'True';
  return { host, port: port === undefined ? undefined : port + (isTaken ? 1 : 0) };
}

function firstHostOf(list: string | undefined): LaunchedGroup['leader'] {
  const [host] = list === undefined ? [] : expandHosts(list);
  return host === undefined ? undefined : { host, port: undefined };
}

/** Where mpiexec of MPICH listens to its proxies, one of which has started this process. */
function hydraPlace(): string | undefined {
  try {
    const words = readFileSync(`/proc/${process.ppid}/cmdline`, 'utf8').split('\0');
    return words[words.indexOf('--control-port') + 1];
  } catch {
    // Only Linux tells; then starts of one command in one folder at one time look the same.
    return undefined;
  }
}
