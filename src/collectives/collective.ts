/** How the ranks of a group add up their integer sums. */
import type { LockstepError } from '../base/errors.ts';
import type { Connection } from '../transport/connection.ts';

/**
 * One rank's part in one immutable generation of a group. Integers add up to the same bits in every
 * order, so the body does not show in the total.
 */
export interface Collective {
  /**
   * Adds up `own` [byteLength] int32 of all ranks, modulo 2^32. Every rank calls it with the same
   * numbers, which rise, the next one in or after `done` of the one before. `own` must stay
   * unchanged until `done`, which gets the total: it stays unchanged until `done` has returned. A
   * rank that is the last to come may be called back before `reduce` returns. `onHeard` is called
   * once before that: as soon as there is anything of another rank for this sum.
   */
  reduce(
    sequence: number,
    own: Uint8Array,
    done: (total: Uint8Array) => void,
    onHeard?: () => void,
  ): void;
  /**
   * Calls back once all ranks agree how they add up; sums that are begun before wait for that. A
   * body without it has nothing to agree on.
   */
  whenAgreed?(agreed: () => void): void;
  /**
   * The memory in which the ranks add up, if that is how they do it, for threads that add up there
   * themselves; undefined while there is none, and for other bodies. All ranks do the same: a sum
   * is added up either by threads of all of them, or by `reduce`.
   */
  lend?(): LentMemory | undefined;
  /**
   * Leaves the group: its connections end, and nobody is called back any more. Ranks that still wait
   * for a total may not get it, though this one has.
   */
  close(): void;
}

/** Memory that the ranks of a group on one machine have in common (shm/shared-sum.ts). */
export interface CommonMemory extends GroupPlace {
  /** Shared between threads, too. */
  readonly memory: WebAssembly.Memory;
}

/** The same, on loan. */
export interface LentMemory {
  readonly common: CommonMemory;
  /** No thread looks at it any more. Until then it stays, though the group may be over. */
  readonly giveBack: () => void;
}

/** Where a rank stands in its group. */
export interface GroupPlace {
  /** 0 to size - 1. */
  readonly index: number;
  /** At least two. */
  readonly size: number;
  /** Bytes of a sum: a multiple of 16. */
  readonly byteLength: number;
}

/** Connections to the neighbours in the ring of all ranks; with two ranks both lead to the same. */
export interface Neighbours {
  /** From the rank before this one, which sends on it. */
  readonly previous: Connection;
  /** To the rank after this one. */
  readonly next: Connection;
}

/** What a body is made from. It takes the connections over. */
export interface CollectiveOptions extends GroupPlace {
  readonly neighbours: Neighbours;
  /** A total stays unchanged until this rank begins the next sum: of long sums, two have room. */
  readonly isTotalKept?: boolean;
  /** The group is over: a neighbour is gone, or does not do what was agreed. Told once, or never. */
  readonly onBroken: (error: LockstepError, neighbour: 'previous' | 'next') => void;
}

/** Makes a rank's part in a group. */
export type CollectiveBody = (options: CollectiveOptions) => Collective;
