/** Worker processes on this machine, owned by the run: none of them outlives it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { type Clock, systemClock, type Timer } from '../base/clock.ts';
import type { Device } from '../runtime/device.ts';
import type { Address } from '../transport/tcp.ts';
import type { CrewMember } from '../runs/journal/journal-lines.ts';
import { AdoptedProcess, processStamp } from '../runs/journal/other-process.ts';
import { Restarts } from './restarts.ts';
import { StartQueue } from './start-queue.ts';
import { lastError, openLog, type OpenLog } from './worker-log.ts';

/** How to start `lockstep` again: program and leading arguments. */
export interface SelfCommand {
  readonly program: string;
  readonly arguments: readonly string[];
}

/** One worker of this machine. */
export interface LocalWorker {
  readonly rank: number;
  readonly device: Device;
  readonly lanes: number;
  /** How many times slower than it could be; 1 if absent. */
  readonly throttle?: number;
  readonly dataDir: string | undefined;
  /** Goes on for so long when it is told to end, unless the coordinator ends it before. */
  readonly graceSeconds?: number;
  /** Where its output goes. */
  readonly logPath: string;
}

/** The end of a local worker's process that nobody asked for. */
export interface WorkerDeath {
  readonly rank: number;
  readonly reason: string;
  /** How often in a row it has died now, each time soon after its start. */
  readonly deaths: number;
  /** After so long it is started again; undefined when it is given up. */
  readonly pauseMs: number | undefined;
}

/** Who hears of workers. */
export interface WorkerHandlers {
  /** One has ended, and `stop` did not ask for that. */
  readonly onDied: (death: WorkerDeath) => void;
  /** One was started. */
  readonly onStarted?: () => void;
}

/** The process of a worker. */
interface WorkerChild extends Pick<ChildProcess, 'pid' | 'exitCode' | 'signalCode' | 'kill'> {
  once(event: 'exit', listener: () => void): unknown;
}

/** What a worker is started with, again if need be. */
interface Post {
  readonly self: SelfCommand;
  readonly address: Address;
  readonly worker: LocalWorker;
  readonly restarts: Restarts;
}

/** Time that workers get, all together, to end by themselves before they are killed. */
const GRACE_MS = 2_000;
/**
 * So many start up at once: with more than cores everybody is late, the run that plans for them
 * too. Four start together on any machine, as small runs did before.
 */
const STARTS_AT_ONCE = Math.max(4, availableParallelism());
const RETRY_SECONDS = 10;
/**
 * Exit codes of `lockstep worker` that starting it again would not change: the run is over, it was
 * started wrongly, somebody has ended it by a signal.
 */
const WANTED_ENDS: ReadonlySet<number> = new Set([0, 2, 130]);

/**
 * Starts worker processes, a few at a time, again when they die, and ends them together: gently,
 * then with SIGKILL. Who dies again and again at once is given up.
 */
export class LocalWorkers {
  readonly #living = new Map<WorkerChild, Post>();
  readonly #pauses = new Set<Timer>();
  readonly #queue: StartQueue<WorkerChild>;
  /** Process ids of all that were started. */
  readonly #processIds = new Set<number>();
  readonly #expelled = new Set<number>();
  readonly #handlers: WorkerHandlers;
  readonly #clock: Clock;
  #isStopping = false;

  constructor(
    handlers: WorkerHandlers,
    clock: Clock = systemClock,
    startsAtOnce: number = STARTS_AT_ONCE,
  ) {
    this.#handlers = handlers;
    this.#clock = clock;
    this.#queue = new StartQueue(startsAtOnce, clock);
  }

  /** Starts one worker that joins `address`, as soon as few others are starting up. */
  start(self: SelfCommand, address: Address, worker: LocalWorker): void {
    this.#enqueue({ self, address, worker, restarts: new Restarts() });
  }

  /**
   * Takes over a worker that somebody else has started, who is gone; when it is gone, too, one is
   * started in its place.
   */
  adopt(
    self: SelfCommand,
    address: Address,
    worker: LocalWorker,
    { processId, stamp }: CrewMember,
  ): void {
    const child = new AdoptedProcess(processId, stamp, this.#clock);
    this.#living.set(child, { self, address, worker, restarts: new Restarts() });
    this.#processIds.add(processId);
    const startedMs = this.#clock.now();
    child.once('exit', () => this.#ended(child, startedMs, 'its process has ended'));
  }

  /** Those who live. */
  members(): CrewMember[] {
    return [...this.#living].flatMap(([{ pid }, { worker }]) =>
      pid === undefined ? [] : { rank: worker.rank, processId: pid, stamp: processStamp(pid) },
    );
  }

  /** How many live, or wait for their turn to be started. */
  get count(): number {
    return this.#living.size + this.#queue.waitingCount;
  }

  /** Whether any lives, or will be started, the first time or again. */
  get isAnyLeft(): boolean {
    return this.count + this.#pauses.size > 0;
  }

  /** Whether a process is or was one of these. */
  has(processId: number): boolean {
    return this.#processIds.has(processId);
  }

  /** A worker has started up and is ready for work: it makes room for the next. */
  settle(processId: number): void {
    const child = [...this.#living.keys()].find(({ pid }) => pid === processId);
    if (child !== undefined) this.#queue.settle(child);
  }

  /** The run has put a worker out for good: under a new identity it would compute as wrongly. */
  expel(processId: number): void {
    this.#expelled.add(processId);
  }

  /**
   * Resolves when every worker has ended. Who is ready was told by its coordinator, who is still
   * starting up gets SIGTERM, and all that do not go are killed after the same two seconds.
   */
  async stop(): Promise<void> {
    this.#isStopping = true;
    for (const pause of this.#pauses) pause.cancel();
    this.#pauses.clear();
    for (const child of this.#queue.close()) child.kill('SIGTERM');
    const ended = [...this.#living.keys()].map(
      (child) =>
        new Promise<void>((resolve) =>
          child.exitCode === null && child.signalCode === null
            ? child.once('exit', () => resolve())
            : resolve(),
        ),
    );
    const timer = setTimeout(() => this.killNow(), GRACE_MS);
    await Promise.all(ended);
    clearTimeout(timer);
  }

  /** SIGKILL for all, e.g. because this process is about to end. */
  killNow(): void {
    this.#isStopping = true;
    this.#queue.close();
    for (const child of this.#living.keys()) child.kill('SIGKILL');
  }

  #enqueue(post: Post): void {
    if (!this.#isStopping) this.#queue.add(() => this.#spawn(post));
  }

  #spawn(post: Post): WorkerChild {
    const { program, arguments: leading } = post.self;
    const log = openLog(post.worker.logPath);
    const said = log?.descriptor ?? 'ignore';
    // Its own process group: Ctrl-C in the terminal reaches the run, and the run ends its workers.
    const child = spawn(program, [...leading, ...argumentsOf(post)], {
      stdio: ['ignore', said, said],
      detached: true,
      windowsHide: true,
      env: { ...process.env, LOCKSTEP_NO_BUILD: '1' },
    });
    if (log !== undefined) closeSync(log.descriptor);
    const startedMs = this.#clock.now();
    this.#living.set(child, post);
    if (child.pid !== undefined) this.#processIds.add(child.pid);
    this.#handlers.onStarted?.();
    child.once('error', ({ message }) => this.#ended(child, startedMs, message));
    child.once('exit', (code, signal) => {
      const isWanted = code !== null && WANTED_ENDS.has(code);
      this.#ended(child, startedMs, reasonOf(code, signal, log), isWanted);
    });
    return child;
  }

  #ended(child: WorkerChild, startedMs: number, reason: string, isWanted = false): void {
    const post = this.#living.get(child);
    this.#living.delete(child);
    this.#queue.settle(child);
    if (this.#isStopping || post === undefined) return;
    const { worker, restarts } = post;
    const isToStay = isWanted || (child.pid !== undefined && this.#expelled.has(child.pid));
    const pauseMs = restarts.pauseAfter(this.#clock.now() - startedMs);
    if (!isToStay && pauseMs !== undefined) this.#startLater(post, pauseMs);
    const { deaths } = restarts;
    this.#handlers.onDied({
      rank: worker.rank,
      reason,
      deaths,
      pauseMs: isToStay ? undefined : pauseMs,
    });
  }

  #startLater(post: Post, pauseMs: number): void {
    const pause = this.#clock.after(pauseMs, () => {
      this.#pauses.delete(pause);
      this.#enqueue(post);
    });
    this.#pauses.add(pause);
  }
}

function argumentsOf({ address: { host, port }, worker }: Post): string[] {
  const { rank, device, lanes, throttle = 1, dataDir, graceSeconds } = worker;
  return [
    'worker',
    ...['--join', `${host.includes(':') ? `[${host}]` : host}:${port}`],
    ...['--rank', String(rank)],
    ...['--device', device],
    ...['--lanes', String(lanes)],
    ...(throttle === 1 ? [] : ['--throttle', String(throttle)]),
    ...['--retry', String(RETRY_SECONDS)],
    ...(dataDir === undefined ? [] : ['--data-dir', dataDir]),
    ...(graceSeconds === undefined ? [] : ['--grace', String(graceSeconds)]),
  ];
}

/** Why a process has ended, in its own words if it had time for any. */
function reasonOf(code: number | null, signal: string | null, log: OpenLog | undefined): string {
  // A process aborts itself: also one that ends with an error while a lane is in native code.
  if (signal !== null && signal !== 'SIGABRT') return `killed with ${signal}`;
  if (code === 130) return 'it was told to end by a signal';
  const words = code === 0 || log === undefined ? undefined : lastError(log);
  return words ?? (signal === null ? `it ended with exit code ${code}` : `killed with ${signal}`);
}
