/** The events of a run from its files: those that are there, and those that are still written. */
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RunEvent } from '../metrics/events.ts';
import type { RunSummary } from '../runs/run-summary.ts';
import type { RunFeed } from './run-feed.ts';

const CHUNK_BYTES = 1 << 18;
/** A line that is longer is none of ours. */
const MAX_LINE = 4 << 20;
/** A file is looked at again so often while somebody follows. */
const LOOK_MS = 400;

/** An event of `metrics.jsonl` with the time at which it was written down. */
export interface RecordedEvent {
  readonly timeMs: number;
  readonly event: RunEvent;
}

/** Reads lines of a file that grows, each once it is whole. */
export class GrowingLog {
  readonly #path: string;
  #offset = 0;
  #rest = Buffer.alloc(0);
  /** Lines that were no events, and of these those that were told of. */
  #damagedCount = 0;
  #toldCount = 0;

  constructor(folder: string) {
    this.#path = join(folder, 'metrics.jsonl');
  }

  /** What was written since the last time, a part at a time; nothing where there is no file. */
  async *read(): AsyncGenerator<readonly RecordedEvent[]> {
    const file = await open(this.#path).catch(() => undefined);
    if (file === undefined) return;
    try {
      const buffer = Buffer.alloc(CHUNK_BYTES);
      for (;;) {
        const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, this.#offset);
        if (bytesRead === 0) return;
        this.#offset += bytesRead;
        yield this.#eventsIn(buffer.subarray(0, bytesRead));
      }
    } finally {
      await file.close();
    }
  }

  /** Tells of lines that were no events since the last time. */
  tellDamage(feed: RunFeed): void {
    const count = this.#damagedCount - this.#toldCount;
    this.#toldCount = this.#damagedCount;
    if (count > 0) feed.push({ kind: 'lines-damaged', count }, feed.view.updatedMs);
  }

  #eventsIn(chunk: Buffer): RecordedEvent[] {
    const bytes = Buffer.concat([this.#rest, chunk]);
    const end = bytes.lastIndexOf('\n') + 1;
    this.#rest = bytes.subarray(end);
    if (this.#rest.length > MAX_LINE) {
      this.#rest = Buffer.alloc(0);
      this.#damagedCount++;
    }
    const lines = bytes.toString('utf8', 0, end).split('\n').slice(0, -1);
    return lines.flatMap((line) => this.#parse(line) ?? []);
  }

  #parse(line: string): RecordedEvent | undefined {
    if (line.trim() === '') return undefined;
    try {
      const { time, ...event } = JSON.parse(line) as RunEvent & { time: string };
      const timeMs = Date.parse(time);
      if (typeof event.kind === 'string' && Number.isFinite(timeMs))
        return { timeMs, event: event as RunEvent };
    } catch {
      // Counted below: what a kill has left half written is no reason not to show the rest.
    }
    this.#damagedCount++;
    return undefined;
  }
}

/** The summary of a run; undefined while there is none, or none that can be read. */
export async function readSummary(folder: string): Promise<Partial<RunSummary> | undefined> {
  try {
    const value: unknown = JSON.parse(await readFile(join(folder, 'summary.json'), 'utf8'));
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Brings a feed up to date with the files of a run, again and again while somebody follows. */
export class RunRecording {
  readonly feed: RunFeed;
  readonly #folder: string;
  readonly #log: GrowingLog;
  #reading: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;

  constructor(folder: string, feed: RunFeed) {
    this.#folder = folder;
    this.feed = feed;
    this.#log = new GrowingLog(folder);
  }

  /** Reads what is new. */
  async update(): Promise<void> {
    this.#reading ??= this.#read().finally(() => (this.#reading = undefined));
    await this.#reading;
    if (this.#isOver || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.feed.followerCount > 0) void this.update();
    }, LOOK_MS).unref();
  }

  /** Looks no more. */
  close(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
  }

  async #read(): Promise<void> {
    if (this.#isOver) return;
    // Before the events: whatever came before the end is then in the file.
    const summary = await readSummary(this.#folder);
    for await (const events of this.#log.read())
      for (const { event, timeMs } of events) this.feed.push(event, timeMs);
    this.#log.tellDamage(this.feed);
    if (summary === undefined || this.feed.view.lastId === 0) return;
    this.feed.end(summary.status ?? 'failed', summary.reason, this.feed.view.updatedMs);
    this.close();
  }
}
