/** The events of a run as a program reads them, in a loop of its own speed. */
import type { EventSink } from '../metrics/event-sink.ts';
import type { RunEvent } from '../metrics/events.ts';

/**
 * What happens in a run. A loop over it begins with what happens next, ends with the run, and may
 * be left at any time; several may run side by side, each with all events.
 *
 * A loop that is slower than the run has up to 4096 events waiting for it. When there are more, the
 * oldest of kind `step`, `gradient-norms` or `progress` is dropped; other kinds only when none of
 * these waits.
 */
export interface RunEvents extends AsyncIterable<RunEvent> {
  /** Events that all loops together have lost so. */
  readonly dropped: number;
}

/** Events that wait for one loop, at most. */
export const EVENT_CAPACITY = 4096;

/** Takes in the events of a run for the loops that there are; without any they are gone. */
export class EventStream implements RunEvents, EventSink {
  readonly #loops = new Set<EventQueue>();
  #dropped = 0;
  #isOver = false;

  get dropped(): number {
    return this.#dropped;
  }

  onEvent(event: RunEvent): void {
    for (const loop of this.#loops) this.#dropped += loop.add(event);
  }

  /** Nothing more will happen: loops end with what waits for them. */
  end(): void {
    this.#isOver = true;
    for (const loop of this.#loops) loop.end();
    this.#loops.clear();
  }

  [Symbol.asyncIterator](): AsyncIterator<RunEvent, undefined> {
    const loop: EventQueue = new EventQueue(() => this.#loops.delete(loop));
    if (this.#isOver) loop.end();
    else this.#loops.add(loop);
    return loop;
  }
}

type Next = IteratorResult<RunEvent, undefined>;

const DONE: Next = { done: true, value: undefined };

/** The events that wait for one loop, or the loop that waits for events. */
class EventQueue implements AsyncIterator<RunEvent, undefined> {
  readonly #events: RunEvent[] = [];
  readonly #waiting: ((next: Next) => void)[] = [];
  readonly #onLeft: () => void;
  #isOver = false;

  /** `onLeft` is called when the loop is left before the end. */
  constructor(onLeft: () => void) {
    this.#onLeft = onLeft;
  }

  /** Gives the number of events that were dropped: 0 or 1. */
  add(event: RunEvent): number {
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) {
      waiting({ done: false, value: event });
      return 0;
    }
    this.#events.push(event);
    if (this.#events.length <= EVENT_CAPACITY) return 0;
    this.#events.splice(Math.max(0, this.#events.findIndex(isFrequent)), 1);
    return 1;
  }

  end(): void {
    this.#isOver = true;
    for (const waiting of this.#waiting.splice(0)) waiting(DONE);
  }

  async next(): Promise<Next> {
    const value = this.#events.shift();
    if (value !== undefined) return { done: false, value };
    if (this.#isOver) return DONE;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  async return(): Promise<Next> {
    this.#events.length = 0;
    this.end();
    this.#onLeft();
    return DONE;
  }
}

function isFrequent({ kind }: RunEvent): boolean {
  return kind === 'step' || kind === 'gradient-norms' || kind === 'progress';
}
