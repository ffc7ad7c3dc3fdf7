/** What a coordinator keeps of one compute node: its link, its failures, its speed. */
import type { Clock, Timer } from '../base/clock.ts';
import type { Address } from '../transport/tcp.ts';
import { nodeName } from './node-list.ts';
import type { Candidate } from '../plan/policies.ts';
import type { NodeLink, NodeLinkHandlers, Task, TaskOutcome } from './task.ts';

/** Reaches a compute node; the link tells its handlers when it is ready, or that it failed. */
export type OpenLink = (address: Address, handlers: NodeLinkHandlers) => NodeLink;

/** A node that fails is tried again after this time, then after twice as long, and so on. */
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 5_000;
/** A node that rejected a task is not asked again before. */
const REJECTED_PAUSE_MS = 50;
/** Weight of the newest task in the recent time, and in the share of rejections. */
const NEWEST = 0.3;
/** Tasks whose times are remembered. */
const REMEMBERED = 8;

/** Who is told what happens at a node. */
export interface NodeEvents {
  /** There may be something to be given out: a node has nothing to do, or nodes came or went. */
  onFree(): void;
  /** The task ended there, not with failure. */
  onOutcome(node: PooledNode, task: Task, outcome: TaskOutcome, wallMs: number): void;
  /** The node was lost or gave what cannot be used; so is the task it had. */
  onLost(node: PooledNode, task: Task | undefined, reason: string): void;
}

/** The copy of a task that a node is computing. */
export interface RunningTask {
  readonly task: Task;
  readonly startedMs: number;
  isCancelled: boolean;
}

/** One node: reached again after every failure, and measured for the policy that chooses nodes. */
export class PooledNode implements Candidate {
  readonly name: string;
  readonly address: Address;
  given = 0;
  recentMs: number | undefined;
  rejectedShare = 0;
  running: RunningTask | undefined;
  /** Why it cannot be used at the moment; absent while it can, or while nothing is known. */
  trouble: string | undefined;
  /** It was taken off the list, and is given nothing more. */
  isLeaving = false;
  readonly #clock: Clock;
  readonly #openLink: OpenLink;
  readonly #events: NodeEvents;
  #link: NodeLink | undefined;
  #isReady = false;
  #isClosed = false;
  #failures = 0;
  #pausedUntilMs = 0;
  #timer: Timer | undefined;
  #times: number[] = [];

  constructor(address: Address, clock: Clock, openLink: OpenLink, events: NodeEvents) {
    this.address = address;
    this.name = nodeName(address);
    this.#clock = clock;
    this.#openLink = openLink;
    this.#events = events;
    this.#open();
  }

  /** It can be reached. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** Whether it may be given this task now. */
  isFreeFor(task: Task): boolean {
    const isIdle =
      this.#isReady && this.running === undefined && this.#clock.now() >= this.#pausedUntilMs;
    return isIdle && !this.isLeaving && this.#link?.can(task.mode) === true;
  }

  /** Whether it can do such a task at all, now or after what it is doing. */
  canDo(task: Pick<Task, 'mode'>): boolean {
    return this.#isReady && this.#link?.can(task.mode) === true;
  }

  /** A time in which it did a quarter of its recent tasks: what a task may take without load. */
  get usualMs(): number | undefined {
    return [...this.#times].sort((a, b) => a - b)[Math.floor(this.#times.length / 4)];
  }

  /** Only while `isFreeFor` it. */
  give(task: Task): void {
    const running: RunningTask = { task, startedMs: this.#clock.now(), isCancelled: false };
    this.running = running;
    this.given++;
    this.#link?.run(task, (outcome) => {
      if (this.running === running) this.#settle(running, outcome);
    });
  }

  /** Asks for what is running to be given up; the node stays busy until it has. */
  cancel(): void {
    if (this.running === undefined || this.running.isCancelled) return;
    this.running.isCancelled = true;
    this.#link?.cancel();
  }

  close(): void {
    this.#isClosed = true;
    this.#letGo();
  }

  #open(): void {
    this.#timer = undefined;
    this.#link = this.#openLink(this.address, {
      onReady: () => {
        this.#isReady = true;
        this.trouble = undefined;
        this.#events.onFree();
      },
      onLost: (reason) => this.#lose(reason),
    });
  }

  #settle(running: RunningTask, outcome: TaskOutcome): void {
    if (outcome.kind === 'failed') return this.#lose(outcome.reason);
    const wallMs = this.#clock.now() - running.startedMs;
    this.running = undefined;
    this.#measure(outcome, wallMs);
    this.#events.onOutcome(this, running.task, outcome, wallMs);
  }

  #measure(outcome: TaskOutcome, wallMs: number): void {
    const isRejected = outcome.kind === 'rejected';
    if (isRejected || outcome.kind === 'done')
      this.rejectedShare += NEWEST * ((isRejected ? 1 : 0) - this.rejectedShare);
    if (isRejected) this.#pause(REJECTED_PAUSE_MS);
    if (outcome.kind !== 'done') return;
    this.#failures = 0;
    this.recentMs =
      this.recentMs === undefined ? wallMs : this.recentMs + NEWEST * (wallMs - this.recentMs);
    this.#times = [...this.#times.slice(1 - REMEMBERED), wallMs];
  }

  #pause(durationMs: number): void {
    this.#pausedUntilMs = this.#clock.now() + durationMs;
    this.#timer?.cancel();
    this.#timer = this.#clock.after(durationMs, () => this.#events.onFree());
  }

  #lose(reason: string): void {
    if (this.#isClosed) return;
    const task = this.running?.task;
    this.#letGo();
    this.trouble = reason;
    const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#failures++);
    this.#timer = this.#clock.after(pauseMs, () => this.#open());
    this.#events.onLost(this, task, reason);
  }

  #letGo(): void {
    this.#isReady = false;
    this.running = undefined;
    this.#timer?.cancel();
    this.#link?.close();
    this.#link = undefined;
  }
}
