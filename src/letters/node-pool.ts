/**
 * The compute nodes that a coordinator may use: those in the list, which is read again and again,
 * and those that registered.
 */
import type { Clock, Timer } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import type { Address } from '../transport/tcp.ts';
import type { Mode } from './job-spec.ts';
import type { NodeState } from './messages.ts';
import { nodeName } from './node-list.ts';
import { createPolicy, type Policy, type PolicyName } from '../plan/policies.ts';
import { type NodeEvents, type OpenLink, PooledNode, type RunningTask } from './pooled-node.ts';
import type { Task } from './task.ts';

/** The list is looked at this often while there are jobs. */
const REREAD_MS = 1_000;

/** Where nodes are found, how they are reached, and who gets the next task. */
export interface NodePoolOptions {
  readonly clock: Clock;
  readonly policy: PolicyName;
  /** Numbers in [0, 1). */
  readonly random: () => number;
  readonly openLink: OpenLink;
  /** The nodes of the list as it is now. Throws: ConfigError. */
  readonly readNodeList: () => readonly Address[];
}

/** Who is told what happens in the pool. */
export interface NodePoolEvents extends NodeEvents {
  /** The list could not be read; the one before is still used. Told once per reason. */
  onListTrouble(reason: string): void;
}

/** All compute nodes of a coordinator by name, connected to as long as there are jobs. */
export class NodePool {
  readonly #options: NodePoolOptions;
  readonly #events: NodePoolEvents;
  readonly #policy: Policy;
  readonly #nodes = new Map<string, PooledNode>();
  readonly #registered = new Map<string, Address>();
  #listed: readonly Address[] = [];
  #listTrouble: string | undefined;
  #timer: Timer | undefined;
  #isStarted = false;

  constructor(options: NodePoolOptions, events: NodePoolEvents) {
    this.#options = options;
    this.#events = events;
    this.#policy = createPolicy(options.policy, options.random);
  }

  get nodes(): readonly PooledNode[] {
    return [...this.#nodes.values()];
  }

  /** Connects to all nodes, and keeps at it until `stop`. */
  start(): void {
    if (this.#isStarted) return;
    this.#isStarted = true;
    this.#reread();
  }

  /** Lets go of all nodes: without jobs nobody is bothered. */
  stop(): void {
    this.#isStarted = false;
    this.#timer?.cancel();
    for (const node of this.nodes) node.close();
    this.#nodes.clear();
    this.#listTrouble = undefined;
  }

  register(address: Address): void {
    this.#registered.set(nodeName(address), address);
    this.#match();
  }

  /** Takes back this very registration: a node that came again in the meantime stays. */
  withdraw(address: Address): void {
    const name = nodeName(address);
    if (this.#registered.get(name) === address) this.#registered.delete(name);
    this.#match();
  }

  /**
   * The node that the policy gives the task to; undefined when none is free but those in `except`.
   */
  choose(task: Task, except?: ReadonlySet<string>): PooledNode | undefined {
    const free = this.nodes.filter(
      (node) => node.isFreeFor(task) && except?.has(node.name) !== true,
    );
    return free.length === 0 ? undefined : free[this.#policy(free)];
  }

  running(): RunningTask[] {
    return this.nodes.flatMap(({ running }) => (running === undefined ? [] : [running]));
  }

  /** Asks whoever still computes the task to give it up. */
  cancelCopies({ id }: Task): void {
    for (const node of this.nodes) if (node.running?.task.id === id) node.cancel();
  }

  /** What a task may take on the quickest node without load; undefined before the first one. */
  usualMs(): number | undefined {
    const times = this.nodes.flatMap(({ usualMs }) => (usualMs === undefined ? [] : [usualMs]));
    return times.length === 0 ? undefined : Math.min(...times);
  }

  /** Whether a node can do tasks of this mode, now or soon. */
  hasNode(mode: Mode): boolean {
    return this.nodes.some((node) => node.canDo({ mode }));
  }

  /** Whether every node is known not to be of use. */
  isOutOfNodes(mode: Mode): boolean {
    return this.nodes.every((node) =>
      node.isReady ? !node.canDo({ mode }) : node.trouble !== undefined,
    );
  }

  /** Every node with the reason why it is of no use at the moment. */
  describe(mode: Mode): NodeState[] {
    if (this.#nodes.size === 0)
      return [
        {
          node: 'list of nodes',
          reason: this.#listTrouble ?? 'it is empty, and no node has registered',
        },
      ];
    return this.nodes.map((node) => ({ node: node.name, reason: reasonOf(node, mode) }));
  }

  #reread(): void {
    try {
      this.#listed = this.#options.readNodeList();
      this.#listTrouble = undefined;
    } catch (error) {
      const reason = messageOf(error);
      if (reason !== this.#listTrouble) this.#events.onListTrouble(reason);
      this.#listTrouble = reason;
    }
    this.#match();
    this.#timer = this.#options.clock.after(REREAD_MS, () => this.#reread());
  }

  /**
   * Adds the nodes that are new. Those that were taken off get nothing more, and are let go once
   * they have nothing to do.
   */
  #match(): void {
    if (!this.#isStarted) return;
    const wanted = new Map(this.#registered);
    for (const address of this.#listed) wanted.set(nodeName(address), address);
    for (const [name, address] of wanted) {
      if (this.#nodes.has(name)) continue;
      const { clock, openLink } = this.#options;
      this.#nodes.set(name, new PooledNode(address, clock, openLink, this.#events));
    }
    for (const node of this.nodes) {
      node.isLeaving = !wanted.has(node.name);
      if (!node.isLeaving || node.running !== undefined) continue;
      node.close();
      this.#nodes.delete(node.name);
    }
    this.#events.onFree();
  }
}

function reasonOf(node: PooledNode, mode: Mode): string {
  if (!node.isReady) return node.trouble ?? 'being connected to';
  return node.canDo({ mode })
    ? 'ready'
    : "it speaks the original system's interface only, which has no mode but seed: start the job " +
        'with --compat seed, or another node with `lockstep compute-node`';
}
