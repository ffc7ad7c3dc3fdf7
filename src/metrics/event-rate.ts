/**
 * What workers and strangers can provoke is told at a bounded rate: nobody fills a disk or a screen,
 * or slows a run down, by joining, leaving or setting a clock over and over.
 */
import type { Clock } from '../base/clock.ts';
import { remember } from '../base/remember.ts';
import { TokenBucket } from '../base/token-bucket.ts';
import type { ProvokedEvent, RunEvent } from './events.ts';

/** Told at once of one worker, or address, and kind. */
const BURST = 20;
/** The same of all workers. */
const BURST_OF_ALL = 1_000;
/** Beyond that one is told in so many milliseconds. */
const REFILL_MS = 5_000;

/** Who provoked an event of each kind that somebody can provoke. */
const SOURCES: { readonly [E in ProvokedEvent as E['kind']]: (event: E) => string | number } = {
  'data-received': ({ rank }) => rank,
  'worker-joined': ({ rank }) => rank,
  'worker-lost': ({ rank }) => rank,
  'worker-stalled': ({ rank }) => rank,
  'worker-slow': ({ rank }) => rank,
  rebalanced: ({ policy }) => policy,
  'clock-jumped': ({ rank }) => rank,
  'micro-batches-reissued': ({ fromRank }) => fromRank,
  'gradient-late': ({ rank }) => rank,
  'staleness-bound': ({ ranks }) => ranks.join(),
  'collective-chosen': ({ collective }) => collective,
  'workers-left-out': ({ ranks }) => ranks.join(),
  'workers-taken-back': ({ ranks }) => ranks.join(),
  'worker-overtaken': ({ rank }) => rank,
  'numerics-differ': () => 'run',
  'run-waiting': () => 'run',
  'worker-refused': ({ peer }) => hostOf(peer),
  'approval-asked': ({ peer }) => hostOf(peer),
  'approval-ended': ({ peer }) => hostOf(peer),
};

function hostOf(peer: string): string {
  return peer.slice(0, Math.max(0, peer.lastIndexOf(':')));
}

/** Lets events pass as long as there are not too many of their kind. */
export class EventRate {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #buckets = new Map<string, Bucket>();

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
  }

  /** The event to tell, with the number of those that were left out before it; or undefined. */
  admit(event: RunEvent): RunEvent | undefined {
    if (!isProvoked(event)) return event;
    const nowMs = this.#clock.now();
    const own = this.#bucket(`${event.kind} ${sourceOf(event.kind, event)}`, BURST, nowMs);
    const all = this.#bucket(event.kind, BURST_OF_ALL, nowMs);
    if (!own.take(nowMs) || !all.take(nowMs)) {
      all.leftOut++;
      return undefined;
    }
    const { leftOut } = all;
    all.leftOut = 0;
    return leftOut === 0 ? event : { ...event, leftOut };
  }

  #bucket(key: string, burst: number, nowMs: number): Bucket {
    const bucket = this.#buckets.get(key) ?? new Bucket(burst, REFILL_MS, nowMs);
    return remember(this.#buckets, key, bucket);
  }
}

/** Tokens, and how many events found none. */
class Bucket extends TokenBucket {
  leftOut = 0;
}

function isProvoked(event: RunEvent): event is ProvokedEvent {
  return event.kind in SOURCES;
}

function sourceOf<K extends ProvokedEvent['kind']>(
  kind: K,
  event: Extract<ProvokedEvent, { kind: K }>,
): string | number;
function sourceOf(kind: ProvokedEvent['kind'], event: ProvokedEvent): string | number {
  return (SOURCES[kind] as (one: ProvokedEvent) => string | number)(event);
}
