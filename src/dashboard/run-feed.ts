/** One run as dashboards are told of it: its view, and the last records for who was away. */
import { randomBytes } from 'node:crypto';
import type { EventSink } from '../metrics/event-sink.ts';
import type { RunEvent } from '../metrics/events.ts';
import type { FeedEvent, FeedRecord, RunEnded } from './view/feed-record.ts';
import { applyRecord, makeRunView, type RunView } from './view/run-view.ts';

/** Records that are kept for who was away: one counts one, and one more for each worker in it. */
const MAX_KEPT = 10_000;

/** The line that tells of an event, if any does; `view` is as it was before. */
export type Describe = (event: RunEvent, view: RunView) => string | undefined;

/** Takes in events, and wakes those who follow; nobody has to. */
export class RunFeed implements EventSink {
  /** Tells this feed from any other of a run of the same name. */
  readonly id: string = randomBytes(6).toString('hex');
  readonly view: RunView;
  readonly #describe: Describe;
  readonly #isToldAgain: boolean;
  readonly #kept: FeedRecord[] = [];
  #keptWeight = 0;
  readonly #followers = new Set<() => void>();

  /** `isToldAgain`: its time is that of its events, and not of today. */
  constructor(name: string, describe: Describe, isToldAgain = false) {
    this.view = makeRunView(name);
    this.#describe = describe;
    this.#isToldAgain = isToldAgain;
  }

  /** The time of day in the run. */
  get nowMs(): number {
    return this.#isToldAgain ? this.view.updatedMs : Date.now();
  }

  /** Takes an event at the moment it happens. */
  onEvent(event: RunEvent): void {
    this.push(event, Date.now());
  }

  /** Takes an event that was told at a time. */
  push(event: FeedEvent, timeMs: number): void {
    const text = this.#textOf(event);
    const record: FeedRecord = {
      ...{ id: this.view.lastId + 1, timeMs, event },
      ...(text !== undefined && { text }),
    };
    applyRecord(this.view, record);
    this.#kept.push(record);
    this.#keptWeight += weightOf(record);
    while (this.#keptWeight > MAX_KEPT && this.#kept.length > 1)
      this.#keptWeight -= weightOf(this.#kept.shift() ?? record);
    for (const wake of this.#followers) wake();
  }

  /** The run is over: those who follow are told, and nothing comes after. */
  end(status: RunEnded['status'], reason?: string, timeMs: number = Date.now()): void {
    const event = { kind: 'run-ended', status, ...(reason !== undefined && { reason }) } as const;
    this.push(event, timeMs);
  }

  #textOf(event: FeedEvent): string | undefined {
    if (event.kind === 'run-ended') return endText(event);
    if (event.kind === 'lines-damaged')
      return `${event.count} lines of metrics.jsonl cannot be read and are left out`;
    return this.#describe(event, this.view);
  }

  /** What came after a record; undefined when some of that is not kept any more. */
  since(id: number): readonly FeedRecord[] | undefined {
    const firstId = this.#kept[0]?.id ?? this.view.lastId + 1;
    if (id + 1 < firstId || id > this.view.lastId) return undefined;
    return this.#kept.slice(id + 1 - firstId);
  }

  /** Calls `wake` after every record, until what it gives is called. */
  follow(wake: () => void): () => void {
    this.#followers.add(wake);
    return () => this.#followers.delete(wake);
  }

  /** How many follow. */
  get followerCount(): number {
    return this.#followers.size;
  }
}

function weightOf({ event }: FeedRecord): number {
  return event.kind === 'step' ? 1 + event.ranks.length : 1;
}

function endText({ status, reason }: Extract<FeedEvent, { kind: 'run-ended' }>): string {
  return `the run is over: ${status}${reason === undefined ? '' : `, ${reason}`}`;
}
