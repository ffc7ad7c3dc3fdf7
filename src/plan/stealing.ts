/** What a worker that has nothing to do should take over from one at work: pure arithmetic. */
import type { Capacity } from './shares.ts';

/** Leases of a worker that is at them. */
export interface LeasesAtWork {
  readonly lanes: number;
  /** What one takes it on one lane, as far as is known. */
  readonly microBatchMs: number;
  /** Leases that it has not been heard to have finished. */
  readonly unfinished: number;
  /** For how long it has been at them. */
  readonly elapsedMs: number;
}

/** What of its leases a worker has not started, and when it will come to that. */
export interface Backlog {
  readonly lanes: number;
  readonly microBatchMs: number;
  readonly notStarted: number;
  /** Milliseconds until a lane of it is free. */
  readonly freeInMs: number;
}

/**
 * What is left of a worker's leases if it is as fast as known. Who should be done with all of them,
 * and is not, has become slower: it is taken to be half-way.
 */
export function backlogOf({ lanes, microBatchMs, unfinished, elapsedMs }: LeasesAtWork): Backlog {
  const isOverdue = elapsedMs * lanes >= unfinished * microBatchMs;
  const paceMs = isOverdue ? (2 * elapsedMs * lanes) / Math.max(1, unfinished) : microBatchMs;
  const notStarted = Math.max(0, unfinished - (Math.floor(elapsedMs / paceMs) + 1) * lanes);
  return { lanes, microBatchMs: paceMs, notStarted, freeInMs: paceMs - (elapsedMs % paceMs) };
}

/** Milliseconds until a worker has done its backlog, but for `taken` of it. */
export function doneInMs(
  { notStarted, lanes, microBatchMs, freeInMs }: Backlog,
  taken = 0,
): number {
  return freeInMs + Math.ceil((notStarted - taken) / lanes) * microBatchMs;
}

/**
 * How many micro-batches `idle` should take over: each that it finishes before the other has done
 * what it keeps. Who is slow takes nothing that others do sooner.
 */
export function worthTaking(backlog: Backlog, idle: Capacity): number {
  const { lanes, linkMs = 0, microBatchMs = backlog.microBatchMs } = idle;
  let taken = 0;
  while (taken < backlog.notStarted) {
    const waves = Math.floor(taken / Math.max(1, lanes)) + 1;
    if (linkMs + waves * microBatchMs >= doneInMs(backlog, taken)) break;
    taken++;
  }
  return taken;
}
