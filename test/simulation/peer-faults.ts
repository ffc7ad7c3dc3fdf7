/**
 * Faults of workers that add up among themselves, drawn from a seed: between two of them only, or
 * exactly when the coordinator, or a worker, has said something.
 */
import type { ToCoordinator, ToWorker } from '../../src/protocol/messages.ts';
import { Choices } from './choices.ts';

/** Connections of a worker: three with the coordinator, and those with other workers. */
export type Channel = 'control' | 'data' | 'heartbeat' | 'peers';

/** What is lost of what a worker says (`up`), or is told (`down`). */
export interface Hole {
  readonly way: 'up' | 'down' | 'both';
  readonly channels: readonly Channel[];
}

/** What can be done to a cluster. Names of workers that are not there change nothing. */
export interface FaultyCluster {
  /** Workers that live, the first ones first. */
  names(): readonly string[];
  readonly steps: number;
  readonly stepMs: number;
  /** Whether no step is granted. */
  readonly isLed: boolean;
  /** Calls `action` after so long, and notes `what` if it is a fault of the history. */
  at(atMs: number, what: string, action: () => void): void;
  kill(name: string, replacement: string): void;
  killForGood(name: string): void;
  freeze(name: string, durationMs: number): void;
  freezeCoordinator(durationMs: number): void;
  join(name: string): void;
  /** Nothing passes between a worker and the coordinator. */
  holdCoordinator(name: string, durationMs: number): void;
  /** Something does not arrive, on later connections neither. */
  hold(name: string, hole: Hole, durationMs: number): void;
  /** Connections of one kind that a worker has end. */
  cut(name: string, channel: Channel): void;
  /** All connections of a worker end. */
  cutConnections(name: string): void;
  cutPair(a: string, b: string): void;
  /** Nothing passes between two workers, on connections that they make meanwhile neither. */
  holdPair(a: string, b: string, durationMs: number): void;
  /** What two workers have between them ends, and neither ever reaches the other again. */
  severPair(a: string, b: string): void;
}

/** What one fault waits for: the `count`th message of a kind. */
interface Trap {
  readonly kind: ToWorker['kind'] | ToCoordinator['kind'];
  count: number;
  readonly spring: (worker: string) => void;
}

const TO_WORKER = [
  ...['reduce', 'reduce', 'grant', 'group', 'fence', 'plan', 'state'],
  ...['serveState', 'fetchState'],
] as const;
const TO_COORDINATOR = [
  ...['reduced', 'reduced', 'contribution', 'grouped', 'fenced'],
  ...['serving', 'fetched'],
] as const;
/** What is said in every step. */
const OFTEN: ReadonlySet<Trap['kind']> = new Set(['reduce', 'reduced', 'plan', 'contribution']);
/** Longer than any history. */
const FOREVER_MS = 1e8;

/** The faults of one history, besides those that the cluster draws. */
export class PeerFaults {
  readonly #cluster: FaultyCluster;
  readonly #choices: Choices;
  readonly #traps: Trap[] = [];

  constructor(cluster: FaultyCluster, seed: number) {
    this.#cluster = cluster;
    this.#choices = new Choices(1_000_000 + seed);
  }

  /** Draws one to `most` of all kinds. */
  draw(most: number): void {
    const count = 1 + this.#choices.below(most);
    for (let i = 0; i < count; i++)
      if (this.#choices.chance(0.4)) this.#drawOfPair();
      else this.#setTrap(i);
  }

  /** The coordinator, or `worker`, has just sent a message. */
  hear(worker: string, { kind }: ToWorker | ToCoordinator): void {
    for (const trap of this.#traps)
      if (trap.kind === kind && trap.count-- === 0) trap.spring(worker);
  }

  #drawOfPair(): void {
    const cluster = this.#cluster;
    const spanMs = 300 + cluster.steps * cluster.stepMs;
    // Two that are there from the beginning may never reach each other.
    const atMs = this.#choices.chance(0.3) ? 0 : this.#choices.between(0, spanMs);
    const [a, b] = this.#pair();
    const { what, action } = this.#pairFault(a, b);
    cluster.at(atMs, what, action);
  }

  #pair(): readonly [string, string] {
    const names = this.#cluster.names();
    const first = this.#choices.below(names.length);
    const second = (first + 1 + this.#choices.below(Math.max(1, names.length - 1))) % names.length;
    return [names[first] ?? '', names[second] ?? ''];
  }

  #pairFault(a: string, b: string): { readonly what: string; readonly action: () => void } {
    const cluster = this.#cluster;
    const durationMs = this.#choices.between(100, 9_000);
    const pair = `${a} and ${b}`;
    const kind = this.#choices.below(5);
    if (kind <= 1) return { what: `cut ${pair}`, action: () => cluster.cutPair(a, b) };
    if (kind === 2) return { what: `sever ${pair}`, action: () => cluster.severPair(a, b) };
    const heldMs = kind === 3 && this.#choices.chance(0.3) ? FOREVER_MS : durationMs;
    return {
      what: `partition ${pair} for ${heldMs.toFixed(0)} ms`,
      action: () => cluster.holdPair(a, b, heldMs),
    };
  }

  /** A fault at a message, or up to a few milliseconds after it. */
  #setTrap(index: number): void {
    const choices = this.#choices;
    const kinds = choices.chance(0.5) ? TO_WORKER : TO_COORDINATOR;
    const drawn = kinds[choices.below(kinds.length)] ?? 'reduce';
    // What is granted is not asked for.
    const kind = drawn === 'reduce' && !this.#cluster.isLed ? 'contribution' : drawn;
    const count = choices.below(OFTEN.has(kind) ? 4 * this.#cluster.steps : 6);
    const delayMs = choices.chance(0.3) ? 0 : choices.between(0, 10);
    const act = this.#trapFault(index);
    const isOther = choices.chance(0.3);
    const spring = (worker: string): void => {
      const { what, action } = act(isOther ? this.#otherThan(worker, index) : worker);
      this.#cluster.at(delayMs, `${what} at ${kind} ${count}`, action);
    };
    this.#traps.push({ kind, count, spring });
  }

  #otherThan(worker: string, number: number): string {
    const others = this.#cluster.names().filter((name) => name !== worker);
    return others[Math.floor(number) % Math.max(1, others.length)] ?? '';
  }

  #trapFault(
    index: number,
  ): (worker: string) => { readonly what: string; readonly action: () => void } {
    const cluster = this.#cluster;
    const choices = this.#choices;
    const durationMs = choices.between(100, choices.chance(0.5) ? 1_000 : 9_000);
    const otherThan = (worker: string): string => this.#otherThan(worker, durationMs);
    const ms = `${durationMs.toFixed(0)} ms`;
    switch (choices.below(8)) {
      case 0:
        return (w) => ({
          what: `kill ${w}, a replacement joins`,
          action: () => cluster.kill(w, `heir-${index}`),
        });
      case 1:
        return (w) => ({ what: `kill ${w} for good`, action: () => cluster.killForGood(w) });
      case 2:
        return (w) => ({
          what: `freeze ${w} for ${ms}`,
          action: () => cluster.freeze(w, durationMs),
        });
      case 3:
        return () => ({
          what: `freeze the coordinator for ${ms}`,
          action: () => cluster.freezeCoordinator(durationMs),
        });
      case 4:
        return () => ({ what: `a worker joins`, action: () => cluster.join(`joining-${index}`) });
      case 5:
        return (w) => ({
          what: `hold ${w} and the coordinator for ${ms}`,
          action: () => cluster.holdCoordinator(w, durationMs),
        });
      case 6:
        return (w) => {
          const o = otherThan(w);
          return { what: `cut ${w} and ${o}`, action: () => cluster.cutPair(w, o) };
        };
      default:
        return (w) => {
          const o = otherThan(w);
          return {
            what: `partition ${w} and ${o} for ${ms}`,
            action: () => cluster.holdPair(w, o, durationMs),
          };
        };
    }
  }
}
