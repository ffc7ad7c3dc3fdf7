/**
 * The coordinator of the letters system: takes jobs, gives their tasks to compute nodes, and tells
 * clients how it goes. A state machine: time, randomness, nodes, files are given to it.
 *
 * A task that is lost with its node goes to another one. When no task is left to be given, a free
 * node gets a second copy of one that takes suspiciously long elsewhere; whichever copy is done
 * first counts, and the results are the same.
 */
import type { Clock, Timer } from '../base/clock.ts';
import { LockstepError, messageOf } from '../base/errors.ts';
import type { LettersDirectory } from './numeric/letters-directory.ts';
import type { Address } from '../transport/tcp.ts';
import { RunningJob } from './running-job.ts';
import { checkJobSpec, type JobSpec } from './job-spec.ts';
import type { JobEvent, TaskTime } from './messages.ts';
import { NodePool, type NodePoolOptions } from './node-pool.ts';
import type { PooledNode } from './pooled-node.ts';
import type { Task, TaskOutcome } from './task.ts';

/** Jobs that share the nodes; later ones wait for one of them to end. */
const MAX_ACTIVE = 4;
const MAX_QUEUED = 64;
/** Without any node for this long, a job fails. */
const GIVE_UP_MS = 600_000;
/** Copies of one task at the same time. */
const MAX_COPIES = 2;
/** A task is suspicious after so many times the usual time, and not before so many milliseconds. */
const SUSPICIOUS_FACTOR = 3;
const SUSPICIOUS_MS = 100;
/** What is taken for the usual time before the first task is done. */
const UNKNOWN_USUAL_MS = 1_000;
/** So many nodes must report that a task diverges before it is believed, if there are as many. */
const WITNESSES = 2;

/**
 * A job fails when one of its tasks is rejected so often, by whatever nodes: with a reason, or as by
 * busy nodes, of which some take it long before.
 */
const MOST_REFUSALS = 10;
const MOST_REJECTIONS = 500;
/** Busy nodes seldom do it so often: it is told. */
const TOLD_REJECTIONS = 20;
const BUSY_OR_BLIND =
  'it rejects the task again and again: it is too busy, or cannot read the file at that path';

/** Surroundings of a coordinator node. `loadDirectory` throws DataError for unusable data. */
export interface CoordinatorNodeOptions extends NodePoolOptions {
  readonly clock: Clock;
  readonly loadDirectory: (directory: string, classes: number) => Promise<LettersDirectory>;
}

/** Told everything about one job, in order; the last event is `done` or `failed`. */
export type JobListener = (event: JobEvent, payload?: Float64Array) => void;

/** A job in the coordinator. */
class Entry {
  readonly spec: JobSpec;
  readonly tell: JobListener;
  job: RunningJob | undefined;
  isWaiting = false;
  roundStartedMs = 0;
  times: TaskTime[] = [];
  /** Names of the nodes that found a task to diverge, by the task's id. */
  readonly divergence = new Map<number, Set<string>>();
  /** How often each task was rejected, by its id. */
  readonly rejections = new Map<number, number>();

  constructor(spec: JobSpec, tell: JobListener) {
    this.spec = spec;
    this.tell = tell;
  }
}

/** The jobs of a coordinator node, and which compute node has which of their tasks. */
export class CoordinatorNode {
  readonly #options: CoordinatorNodeOptions;
  readonly #clock: Clock;
  readonly #pool: NodePool;
  /** Those that are being computed; who was served last is last. */
  #active: Entry[] = [];
  #queued: Entry[] = [];
  #nextTaskId = 0;
  #jobOfTask = new Map<number, Entry>();
  #suspicion: Timer | undefined;
  #surrender: Timer | undefined;

  constructor(options: CoordinatorNodeOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#pool = new NodePool(options, {
      onFree: () => this.#schedule(),
      onOutcome: (node, task, outcome, wallMs) => this.#receive(node, task, outcome, wallMs),
      onLost: (node, task, reason) => this.#lose(node, task, reason),
      onListTrouble: (reason) => this.#tellAll({ kind: 'trouble', node: 'list of nodes', reason }),
    });
  }

  /**
   * Takes a job; returns how to give it up.
   *
   * Throws: ConfigError when it cannot be done as asked, or when too many jobs are waiting.
   */
  submit(spec: JobSpec, listener: JobListener): () => void {
    checkJobSpec(spec);
    if (this.#queued.length >= MAX_QUEUED)
      throw new LockstepError(
        'RENDEZVOUS_FAILED',
        `${MAX_QUEUED} jobs are waiting already. Try again later.`,
      );
    const entry = new Entry(spec, listener);
    this.#queued.push(entry);
    const ahead = this.#active.length + this.#queued.length - 1;
    if (this.#active.length >= MAX_ACTIVE) entry.tell({ kind: 'queued', ahead });
    this.#startQueued();
    return () => this.#remove(entry);
  }

  /** A compute node made itself known; it is used like one of the list until `withdraw`. */
  register(address: Address): void {
    this.#pool.register(address);
  }

  withdraw(address: Address): void {
    this.#pool.withdraw(address);
  }

  /** Ends every job with `reason`. */
  close(reason: string): void {
    for (const entry of [...this.#active, ...this.#queued]) this.#fail(entry, 'PEER_LOST', reason);
    this.#pool.stop();
  }

  #startQueued(): void {
    while (this.#active.length < MAX_ACTIVE) {
      const entry = this.#queued.shift();
      if (entry === undefined) return;
      this.#active.push(entry);
      this.#begin(entry).catch((error: unknown) => {
        const code = error instanceof LockstepError ? error.code : 'INTERNAL';
        this.#fail(entry, code, messageOf(error));
      });
    }
  }

  async #begin(entry: Entry): Promise<void> {
    const { directory, classes } = entry.spec;
    const data = await this.#options.loadDirectory(directory, classes);
    if (!this.#active.includes(entry)) return;
    entry.job = new RunningJob(entry.spec, data, () => this.#nextTaskId++);
    entry.roundStartedMs = this.#clock.now();
    this.#pool.start();
    const rows = data.train.reduce((total, file) => total + file.rows.count, 0);
    entry.tell({ kind: 'started', files: data.train.length, rows, nodes: this.#pool.nodes.length });
    this.#schedule();
  }

  /** Gives out whatever can be given out, one task per job in turn. */
  #schedule(): void {
    while (this.#active.some((entry) => this.#giveNext(entry)));
    this.#suspect();
    this.#tellWaiting();
  }

  #giveNext(entry: Entry): boolean {
    const task = entry.job?.takePending();
    if (task === undefined) return false;
    const node = this.#pool.choose(task, entry.divergence.get(task.id));
    if (node === undefined) {
      entry.job?.putBack(task);
      return false;
    }
    this.#active = [...this.#active.filter((other) => other !== entry), entry];
    this.#jobOfTask.set(task.id, entry);
    node.give(task);
    return true;
  }

  /** Gives second copies of tasks that take long to nodes that have nothing to do. */
  #suspect(): void {
    this.#suspicion?.cancel();
    this.#suspicion = undefined;
    if (this.#active.some(({ job }) => job?.hasPending === true)) return;
    const now = this.#clock.now();
    const patienceMs = Math.max(
      SUSPICIOUS_MS,
      SUSPICIOUS_FACTOR * (this.#pool.usualMs() ?? UNKNOWN_USUAL_MS),
    );
    const running = this.#pool
      .running()
      .filter(({ task, isCancelled }) => !isCancelled && this.#needs(task));
    running.sort((a, b) => a.startedMs - b.startedMs);
    for (const { task, startedMs } of running) {
      if (running.filter((other) => other.task.id === task.id).length >= MAX_COPIES) continue;
      if (now < startedMs + patienceMs) {
        this.#suspicion = this.#clock.after(startedMs + patienceMs - now, () => this.#schedule());
        return;
      }
      const node = this.#pool.choose(task);
      if (node === undefined) continue;
      node.give(task);
    }
  }

  #needs(task: Task): boolean {
    return this.#jobOfTask.get(task.id)?.job?.needs(task) === true;
  }

  #receive(node: PooledNode, task: Task, outcome: TaskOutcome, wallMs: number): void {
    const entry = this.#jobOfTask.get(task.id);
    if (entry?.job !== undefined && this.#active.includes(entry)) {
      if (outcome.kind === 'done') this.#count(entry, entry.job, node, task, outcome, wallMs);
      else if (outcome.kind === 'diverged') this.#doubt(entry, entry.job, node, task);
      else if (outcome.kind === 'rejected') this.#reject(entry, node, task, outcome.reason);
      else this.#giveBack(task);
    }
    this.#schedule();
  }

  #count(
    entry: Entry,
    job: RunningJob,
    node: PooledNode,
    task: Task,
    outcome: Extract<TaskOutcome, { kind: 'done' }>,
    wallMs: number,
  ): void {
    if (!job.count(task, outcome)) return;
    const { computeMs, injectedMs } = outcome;
    const transferMs = Math.max(0, wallMs - (computeMs ?? 0) - (injectedMs ?? 0));
    entry.times.push({ file: task.name, node: node.name, transferMs, computeMs, injectedMs });
    this.#jobOfTask.delete(task.id);
    this.#pool.cancelCopies(task);
    this.#endRound(entry, job);
  }

  #endRound(entry: Entry, job: RunningJob): void {
    const validationError = job.endRoundIfComplete();
    if (validationError === undefined) return;
    const now = this.#clock.now();
    const wallMs = now - entry.roundStartedMs;
    entry.tell({ kind: 'round', round: job.round, validationError, wallMs, tasks: entry.times });
    entry.times = [];
    entry.roundStartedMs = now;
    if (!job.isOver) return;
    const { done, parameters } = job.outcome();
    this.#remove(entry);
    entry.tell(done, parameters);
  }

  #reject(entry: Entry, node: PooledNode, task: Task, reason: string | undefined): void {
    const count = (entry.rejections.get(task.id) ?? 0) + 1;
    entry.rejections.set(task.id, count);
    const trouble = count === TOLD_REJECTIONS ? BUSY_OR_BLIND : undefined;
    const told = reason ?? trouble;
    if (told !== undefined) entry.tell({ kind: 'trouble', node: node.name, reason: told });
    const most = reason === undefined ? MOST_REJECTIONS : MOST_REFUSALS;
    if (count < most) return this.#giveBack(task);
    this.#fail(
      entry,
      'DATA_INVALID',
      `${task.name} was rejected ${count} times, the last time by ${node.name}: ${reason ?? BUSY_OR_BLIND}`,
    );
  }

  /** One node that tells of divergence may be broken itself; two mean that the job is at fault. */
  #doubt(entry: Entry, job: RunningJob, node: PooledNode, task: Task): void {
    const witnesses = entry.divergence.get(task.id) ?? new Set();
    witnesses.add(node.name);
    entry.divergence.set(task.id, witnesses);
    entry.tell({
      kind: 'trouble',
      node: node.name,
      reason: 'its parameters became infinite or NaN',
    });
    const others = this.#pool.nodes.filter(
      (other) => other.canDo(task) && !witnesses.has(other.name),
    );
    if (witnesses.size >= WITNESSES || others.length === 0) {
      const { eta } = job.spec;
      return this.#fail(
        entry,
        'NON_FINITE',
        `round ${job.round + 1}, ${task.name}: the parameters became infinite or NaN (found ` +
          `by ${[...witnesses].join(', ')}). Choose an eta below ${eta}.`,
      );
    }
    this.#giveBack(task);
  }

  /** The task must be computed elsewhere, unless a copy of it still is. */
  #giveBack(task: Task): void {
    const isElsewhere = this.#pool
      .running()
      .some(({ task: { id }, isCancelled }) => id === task.id && !isCancelled);
    if (!isElsewhere) this.#jobOfTask.get(task.id)?.job?.putBack(task);
  }

  #lose(node: PooledNode, task: Task | undefined, reason: string): void {
    if (task !== undefined) {
      const entry = this.#jobOfTask.get(task.id);
      entry?.tell({ kind: 'trouble', node: node.name, reason });
      this.#giveBack(task);
    }
    this.#schedule();
  }

  /** Tells every job when the last node is gone, and when one is back. */
  #tellWaiting(): void {
    for (const entry of this.#active) {
      if (entry.job === undefined) continue;
      const { mode } = entry.spec;
      if (entry.isWaiting && this.#pool.hasNode(mode)) {
        entry.isWaiting = false;
        entry.tell({ kind: 'resumed' });
      } else if (!entry.isWaiting && this.#pool.isOutOfNodes(mode)) {
        entry.isWaiting = true;
        entry.tell({ kind: 'waiting', nodes: this.#pool.describe(mode) });
      }
    }
    const isAnyWaiting = this.#active.some(({ isWaiting }) => isWaiting);
    if (!isAnyWaiting) {
      this.#surrender?.cancel();
      this.#surrender = undefined;
    } else this.#surrender ??= this.#clock.after(GIVE_UP_MS, () => this.#giveUp());
  }

  #giveUp(): void {
    this.#surrender = undefined;
    for (const entry of this.#active.filter(({ isWaiting }) => isWaiting)) {
      const nodes = this.#pool
        .describe(entry.spec.mode)
        .map(({ node, reason }) => `${node}: ${reason}`);
      const reason = `no compute node for ${GIVE_UP_MS / 60_000} minutes (${nodes.join('; ')})`;
      this.#fail(entry, 'RENDEZVOUS_FAILED', reason);
    }
  }

  #fail(entry: Entry, code: string, reason: string): void {
    this.#remove(entry);
    entry.tell({ kind: 'failed', code, reason });
  }

  #remove(entry: Entry): void {
    if (!this.#active.includes(entry) && !this.#queued.includes(entry)) return;
    this.#active = this.#active.filter((other) => other !== entry);
    this.#queued = this.#queued.filter((other) => other !== entry);
    for (const { task } of this.#pool.running())
      if (this.#jobOfTask.get(task.id) === entry) this.#pool.cancelCopies(task);
    for (const [id, owner] of this.#jobOfTask) if (owner === entry) this.#jobOfTask.delete(id);
    this.#startQueued();
    this.#queued.forEach((queued, i) =>
      queued.tell({ kind: 'queued', ahead: this.#active.length + i }),
    );
    if (this.#active.length > 0) return;
    this.#suspicion?.cancel();
    this.#surrender?.cancel();
    this.#surrender = undefined;
    this.#pool.stop();
  }

  #tellAll(event: JobEvent): void {
    for (const entry of this.#active) entry.tell(event);
  }
}
