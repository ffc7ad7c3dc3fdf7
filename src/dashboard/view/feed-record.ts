/** What a dashboard is told, live or from a recorded run: the events of the run, numbered. */
import type { RunEvent } from '../../metrics/events.ts';

/** The run is over; nothing follows. */
export interface RunEnded {
  readonly kind: 'run-ended';
  readonly status: 'finished' | 'interrupted' | 'failed';
  readonly reason?: string;
}

/** Lines of the record of a run are no events, and are left out. */
interface LinesDamaged {
  readonly kind: 'lines-damaged';
  readonly count: number;
}

/** Whatever a dashboard shows begins with one of these. */
export type FeedEvent = RunEvent | RunEnded | LinesDamaged;

/** An event with its number in the feed. */
export interface FeedRecord {
  /** Counts from 1. */
  readonly id: number;
  /** When it was told, in milliseconds since 1970. */
  readonly timeMs: number;
  readonly event: FeedEvent;
  /** The event in words; absent for what is not worth a line. */
  readonly text?: string;
}
