/**
 * One training by all processes of a group: a launcher (mpirun, srun, torchrun, a Job of
 * Kubernetes) has started the same `lockstep train` many times. Rank 0 coordinates, all compute.
 */
import { availableParallelism, cpus } from 'node:os';
import { join } from 'node:path';
import { accessFolder } from '../../access/home.ts';
import type { JoinLink } from '../../access/join-link.ts';
import { parseToken } from '../../access/token.ts';
import { ConfigError, invariant, messageOf } from '../../base/errors.ts';
import { parseTrainConfig } from '../../config/parse-train-config.ts';
import type { ResumedRequest } from '../../config/resumed-config.ts';
import type { TrainConfig } from '../../config/train-config.ts';
import { dataPlaces, localDataDir } from '../../job/data-source.ts';
import { runGroupMember } from '../../launch/group-member.ts';
import { groupName, launchedGroup, type LaunchedGroup } from '../../launch/group/launched-group.ts';
import { Meeting } from '../../launch/group/meeting.ts';
import type { GroupPart, RunPlace } from '../../launch/training-run.ts';
import { hasUnfinishedRun, setAside } from '../../runs/found-run.ts';
import type { RunSummary } from '../../runs/run-summary.ts';
import { GPU_LANES } from '../../runtime/device.ts';
import { chooseDevices } from '../../runtime/devices.ts';
import { EVERY_ADDRESS } from '../../transport/loopback.ts';
import type { CommandContext } from '../shell/command-context.ts';
import { EXIT } from '../shell/exit-codes.ts';
import { ignoreCheckpointSignal, interruptible } from '../shell/interrupt.ts';
import { logLine } from '../shell/output.ts';
import { interfacesOf } from './worker-command.ts';

type Request = Pick<ResumedRequest, 'sources' | 'flags' | 'isForOthers'>;

/** Where rank 0 listens if nobody says: the port of torchrun. */
const DEFAULT_PORT = 29_500;
/**
 * Whoever ends a job tells all its processes at once, and kills them 30 s later, as Slurm does, or
 * 5 s, as mpirun may. A worker that went at once would take the last state with it.
 */
const GRACE_SECONDS = 10;

/** The part of this process in the training of its group. */
export class GroupTraining {
  readonly group: LaunchedGroup;
  /** The settings with what follows from the group. */
  readonly request: Request;
  readonly #config: TrainConfig;
  readonly #environment: NodeJS.ProcessEnv;
  readonly #rankZero: Meeting | JoinLink;

  /** The group of this process; undefined if it is alone. Throws: ConfigError. */
  static find(environment: NodeJS.ProcessEnv, request: Request): GroupTraining | undefined {
    const group = launchedGroup(environment);
    return group === undefined ? undefined : new GroupTraining(group, environment, request);
  }

  private constructor(group: LaunchedGroup, environment: NodeJS.ProcessEnv, request: Request) {
    const { sources, flags } = request;
    const isForOthers = group.localSize !== group.size;
    const { config, given } = parseTrainConfig(sources, flags, isForOthers);
    checkConfig(config, given.has('workers'), group);
    const { LOCKSTEP_TOKEN: token } = environment;
    this.group = group;
    this.#environment = environment;
    this.#rankZero =
      token === undefined || token === ''
        ? new Meeting(accessFolder(environment), groupName(group, wordsOf(request)))
        : linkOf(token, config, group);
    const isOpen = (isForOthers && !given.has('host')) || !(this.#rankZero instanceof Meeting);
    this.request = {
      ...{ sources, isForOthers },
      flags: {
        ...flags,
        workers: String(group.size),
        ...(isOpen && { host: EVERY_ADDRESS, port: String(this.#port(config)) }),
      },
    };
    this.#config = parseTrainConfig(sources, this.request.flags, isForOthers).config;
    if (this.#rankZero instanceof Meeting) this.#rankZero.claim(group.rank);
  }

  #port({ port }: TrainConfig): number {
    return this.#rankZero instanceof Meeting ? port : (this.#rankZero.addresses[0]?.port ?? port);
  }

  /**
   * The run that rank 0 goes on with, although nobody has asked for it: a scheduler gives the same
   * command again when a machine was lost. One without a checkpoint is put aside, and told of.
   */
  unfinishedRun(note: (text: string) => void): string | undefined {
    const { name, outDir } = this.#config;
    if (name === undefined) return undefined;
    const folder = join(outDir, name);
    if (hasUnfinishedRun(folder)) return name;
    const aside = setAside(folder);
    if (aside !== undefined)
      note(`note: ${folder} has no checkpoint: it is ${aside} now, and the run begins anew`);
    return undefined;
  }

  /** What rank 0 does besides coordinating. */
  part(): GroupPart {
    const token = this.#rankZero instanceof Meeting ? undefined : this.#rankZero.token;
    return { lanes: this.#lanes(), graceSeconds: GRACE_SECONDS, token };
  }

  /** Rank 0 tells the others where it is. */
  announce({ address, link }: RunPlace): void {
    if (this.#rankZero instanceof Meeting) this.#rankZero.announce({ address, link: link ?? null });
  }

  /** Does the work of rank 0, and tells the others how it has ended. */
  async lead(work: () => Promise<RunSummary | undefined>): Promise<void> {
    const end = (reason: string, isFailed: boolean): void => {
      if (this.#rankZero instanceof Meeting) this.#rankZero.end({ reason, isFailed });
    };
    try {
      const { status } = (await work()) ?? { status: 'interrupted' };
      end(`the run is ${status}`, false);
    } catch (error) {
      end(messageOf(error), true);
      throw error;
    }
  }

  /** Does the work of any other rank. */
  async work({ setExitCode }: CommandContext): Promise<void> {
    const { rank, size, name, launcher } = this.group;
    const { device: devices, throttle: throttles } = this.#config;
    const [choice] = await chooseDevices(devices.slice(rank % devices.length).slice(0, 1));
    invariant(choice !== undefined, 'every device asked for is chosen or refused');
    logLine(`rank ${rank} of ${size}, by ${name} (${launcher})`);
    if (choice.note !== undefined) logLine(choice.note);
    ignoreCheckpointSignal();
    const { signal } = interruptible(
      () => logLine('told to end: rank 0 may want the state first, or ends the run'),
      1000 * GRACE_SECONDS,
    );
    const reason = await runGroupMember({
      rankZero: this.#rankZero,
      accessFolder: accessFolder(this.#environment),
      rank,
      device: choice.device,
      lanes: choice.device === 'cpu' ? this.#lanes() : GPU_LANES,
      throttle: throttles[rank % throttles.length] ?? 1,
      places: dataPlaces(localDataDir(this.#config), this.#environment),
      interfaces: interfacesOf(undefined, this.#environment),
      ...{ signal, log: logLine },
    });
    logLine(`done: ${reason}`);
    if (signal.aborted) setExitCode(EXIT.interrupted);
  }

  /** A launcher may bind processes to cores, share them out, or do neither. */
  #lanes(): number {
    const { lanes } = this.#config;
    if (lanes !== 'auto') return lanes;
    const { localSize = 1, launcher } = this.group;
    const given = launcher === 'srun' ? Number(this.#environment['SLURM_CPUS_PER_TASK']) : NaN;
    const share = Math.floor(cpus().length / localSize);
    return Math.max(1, Math.min(availableParallelism(), share, given > 0 ? given : Infinity));
  }
}

/** What makes one start of a group unlike another, if its launcher does not. */
function wordsOf({ sources, flags }: Request): readonly string[] {
  return [process.cwd(), ...sources.map(({ file }) => file), JSON.stringify(flags)];
}

function checkConfig(
  { workers, insecure, approve }: TrainConfig,
  isCounted: boolean,
  { size, launcher, name }: LaunchedGroup,
): void {
  if (isCounted && workers !== size)
    throw new ConfigError(
      `--workers: expected ${size}, as many as ${launcher} has started, got ${workers}. Leave ` +
        `--workers out, or start ${workers}. Were all to train by themselves? Then unset ${name}`,
    );
  if (approve || insecure)
    throw new ConfigError(
      `--${approve ? 'approve' : 'insecure'}: has no place where ${launcher} has started the ` +
        'workers: they come in by a key that is made for them. Leave it out',
    );
}

/** The way to rank 0 by a token that all have, where they share no folder. */
function linkOf(text: string, { port }: TrainConfig, { leader, name }: LaunchedGroup): JoinLink {
  const token = parseToken(text);
  if (token.role !== 'worker')
    throw new ConfigError(`LOCKSTEP_TOKEN: expected one of role worker, got ${token.role}`);
  if (leader === undefined)
    throw new ConfigError(
      `LOCKSTEP_TOKEN: where is rank 0? ${name} does not say: set MASTER_ADDR, for all ranks`,
    );
  const place = { host: leader.host, port: port === 0 ? (leader.port ?? DEFAULT_PORT) : port };
  return { addresses: [place], token };
}
