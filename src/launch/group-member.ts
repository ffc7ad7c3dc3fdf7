/** A process of a group whose rank is not 0: finds rank 0, and works for it. */
import { randomUUID } from 'node:crypto';
import { type JoinLink, parseJoinLink } from '../access/join-link.ts';
import { systemClock } from '../base/clock.ts';
import { RendezvousError } from '../base/errors.ts';
import type { Destination } from '../transport/dial.ts';
import { type GroupPlace, Meeting } from './group/meeting.ts';
import { destinationOf } from './join.ts';
import { runWorkerProcess, type WorkerProcessOptions } from './worker-process.ts';

/** How long rank 0 may take to say where it is, or to come back there. */
const WAIT_MS = 300_000;
/** The same for one that was there. */
const COMEBACK_MS = 60_000;
/** It writes anew where it is when it was started anew: then that is looked at again. */
const LOOK_AGAIN_MS = 5_000;
const INTERRUPTED = 'the worker was interrupted';

/** How a process of a group works, and where it hears of rank 0, or its link. */
export interface GroupMemberOptions extends Omit<WorkerProcessOptions, 'destination' | 'retryMs'> {
  readonly rankZero: Meeting | JoinLink;
  /** Where credentials of this user are kept. */
  readonly accessFolder: string;
}

/**
 * Works until rank 0 ends the run; resolves with its words.
 * Throws: RendezvousError when there is no word of it, or it has failed; what `runWorkerProcess`
 *         does.
 */
export async function runGroupMember(options: GroupMemberOptions): Promise<string> {
  const { rankZero, accessFolder, signal, log } = options;
  if (rankZero instanceof Meeting) return workBy(rankZero, options);
  const search = { accessFolder, retryMs: WAIT_MS, signal, log };
  const destination = await destinationOf(rankZero, search);
  if (destination === undefined) return INTERRUPTED;
  return runWorkerProcess({ ...options, destination, retryMs: COMEBACK_MS });
}

async function workBy(meeting: Meeting, options: GroupMemberOptions): Promise<string> {
  const { signal, log } = options;
  const parts = { workerId: randomUUID() };
  for (let untilMs = systemClock.now() + WAIT_MS; ;) {
    const found = await meeting.find(untilMs, { signal, log });
    if (found === undefined) return INTERRUPTED;
    if (found.kind === 'over') {
      if (!found.end.isFailed) return found.end.reason;
      throw new RendezvousError(`rank 0 has ended: ${found.end.reason}`);
    }
    const startedMs = systemClock.now();
    try {
      const destination = await wayTo(found.place, options);
      if (destination === undefined) continue;
      return await runWorkerProcess({ ...options, parts, destination, retryMs: LOOK_AGAIN_MS });
    } catch (error) {
      const nowMs = systemClock.now();
      // Where it was found before, it may be again.
      if (nowMs - startedMs > 2 * LOOK_AGAIN_MS) untilMs = nowMs + COMEBACK_MS;
      const isMissing = error instanceof RendezvousError && 'attempts' in error.context;
      if (!isMissing || nowMs > untilMs) throw error;
    }
  }
}

/** The way to rank 0; undefined if the wait was ended. */
async function wayTo(
  { address, link }: GroupPlace,
  { accessFolder, signal, log }: GroupMemberOptions,
): Promise<Destination | undefined> {
  if (link === null) return { addresses: [address], protection: 'this-machine' };
  const retryMs = LOOK_AGAIN_MS;
  return destinationOf(parseJoinLink(link), { accessFolder, retryMs, signal, log });
}
