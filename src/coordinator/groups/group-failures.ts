/** Members whose group has failed, and when they are tried again. */
import type { Member } from '../../membership/member.ts';

/** After a group that failed the same members are tried again: at first after this, at last so. */
const RETRY_MS = 5_000;
const MAX_RETRY_MS = 600_000;
/** A group that stood as long as its members had paused, and so long, fails for the first time. */
const PROVEN_MS = 60_000;

/** Why sums go through the coordinator; what that is predicted to take, if it was chosen. */
export interface Obstacle {
  readonly reason: string;
  readonly predictedMs?: number | undefined;
}

/** Why these members are not tried again before a while. */
interface Failure extends Obstacle {
  readonly key: string;
  readonly count: number;
  readonly pauseMs: number;
  readonly retryMs: number;
}

/** Remembers the last group that failed. */
export class GroupFailures {
  #last: Failure | undefined;

  /** Why these members are not to be tried again at `nowMs`, if they are not. */
  obstacle(members: readonly Member[], nowMs: number): Obstacle | undefined {
    const last = this.#last;
    return last?.key === keyOf(members) && nowMs < last.retryMs ? last : undefined;
  }

  /** The group of these members has failed after it stood so long: 0 if it never did. */
  note(
    members: readonly Member[],
    obstacle: Obstacle,
    { stoodMs, nowMs }: { readonly stoodMs: number; readonly nowMs: number },
  ): void {
    const key = keyOf(members);
    const before = this.#last?.key === key ? this.#last : undefined;
    const isProven = stoodMs >= Math.max(PROVEN_MS, before?.pauseMs ?? 0);
    const count = before === undefined || isProven ? 1 : before.count + 1;
    const pauseMs = Math.min(MAX_RETRY_MS, RETRY_MS * 4 ** (count - 1));
    this.#last = { ...obstacle, key, count, pauseMs, retryMs: nowMs + pauseMs };
  }
}

function keyOf(members: readonly Member[]): string {
  return members
    .map(({ workerId }) => workerId)
    .sort()
    .join(' ');
}
