/** The runs of a folder, of which one may be under way in this process. */
import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { remember } from '../base/remember.ts';
import type { RunSummary } from '../runs/run-summary.ts';
import { type Describe, RunFeed } from './run-feed.ts';
import { GrowingLog, readSummary, RunRecording } from './run-recording.ts';

/** Recorded runs that are kept open. */
const MAX_OPEN = 6;
/** Folders that are looked at together. */
const AT_ONCE = 64;
/** A run without a summary whose file has grown since is under way. */
const ALIVE_MS = 15_000;
/** What is read of the end of a worker's log. */
const MAX_LOG_BYTES = 256 << 10;

/** A run as the table of runs shows it. */
export interface RunEntry {
  readonly name: string;
  readonly status: RunSummary['status'] | 'running' | 'broken off';
  /** When something was last recorded, in milliseconds since 1970. */
  readonly updatedMs: number;
  readonly createdMs: number;
  readonly summary?: Partial<RunSummary>;
}

/** The run that is led by this process. */
export interface LiveRun {
  readonly name: string;
  readonly feed: RunFeed;
}

/** Opens runs by name, and no other file. */
export class RunLibrary {
  readonly folder: string;
  readonly live: LiveRun | undefined;
  readonly #describe: Describe;
  readonly #open = new Map<string, RunRecording>();
  readonly #summaries = new Map<string, { updatedMs: number; summary: Partial<RunSummary> }>();

  constructor(folder: string, describe: Describe, live?: LiveRun) {
    this.folder = folder;
    this.live = live;
    this.#describe = describe;
  }

  /** The newest runs, newest first, and how many there are. */
  async list(
    limit: number,
  ): Promise<{ readonly runs: readonly RunEntry[]; readonly count: number }> {
    const found = await this.#find();
    found.sort((a, b) => b.updatedMs - a.updatedMs);
    const runs = await eachOf(found.slice(0, limit), (one) => this.#entryOf(one));
    return { runs, count: found.length };
  }

  /** The feed of a run, up to date; undefined when there is no such run. */
  async open(name: string): Promise<RunFeed | undefined> {
    if (name === this.live?.name) return this.live.feed;
    if (!(await this.has(name))) return undefined;
    const known = this.#open.get(name) ?? this.#record(name);
    // Used last, closed last.
    this.#open.delete(name);
    this.#open.set(name, known);
    this.#closeOldest();
    await known.update();
    return known.feed;
  }

  /** Whether there is a run of this name: nothing else in the folder can be named. */
  async has(name: string): Promise<boolean> {
    if (name === this.live?.name) return true;
    const names = await readdir(this.folder).catch((): string[] => []);
    return names.includes(name) && (await this.#look(name)) !== undefined;
  }

  /** A feed that nobody has begun to fill, and the events of a run to fill it with. */
  replay(name: string): { readonly feed: RunFeed; readonly log: GrowingLog } {
    return {
      feed: new RunFeed(name, this.#describe, true),
      log: new GrowingLog(join(this.folder, name)),
    };
  }

  /** How a run ended; undefined when it has not, as far as anybody knows. */
  async summaryOf(name: string): Promise<Partial<RunSummary> | undefined> {
    return readSummary(join(this.folder, name));
  }

  /** Ranks whose words are recorded. */
  async ranksWithLog(name: string): Promise<readonly number[]> {
    const names = await readdir(join(this.folder, name, 'logs')).catch(() => []);
    return names
      .flatMap((file) => /^rank_(\d+)\.log$/.exec(file)?.[1] ?? [])
      .map(Number)
      .sort((a, b) => a - b);
  }

  /** The end of what a worker has said; undefined when nothing is recorded. */
  async logOf(name: string, rank: number): Promise<string | undefined> {
    const path = join(this.folder, name, 'logs', `rank_${rank}.log`);
    const file = await open(path).catch(() => undefined);
    if (file === undefined) return undefined;
    try {
      const { size } = await file.stat();
      const length = Math.min(size, MAX_LOG_BYTES);
      const buffer = Buffer.alloc(length);
      const { bytesRead } = await file.read(buffer, 0, length, size - length);
      return buffer.toString('utf8', 0, bytesRead);
    } finally {
      await file.close();
    }
  }

  /** Looks at no file any more. */
  close(): void {
    for (const recording of this.#open.values()) recording.close();
  }

  #record(name: string): RunRecording {
    return new RunRecording(join(this.folder, name), new RunFeed(name, this.#describe));
  }

  #closeOldest(): void {
    for (const [name, recording] of this.#open) {
      if (this.#open.size <= MAX_OPEN) return;
      if (recording.feed.followerCount > 0) continue;
      recording.close();
      this.#open.delete(name);
    }
  }

  async #find(): Promise<Found[]> {
    const entries = await readdir(this.folder, { withFileTypes: true }).catch(() => []);
    const names = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
    return (await eachOf(names, (name) => this.#look(name))).filter((one) => one !== undefined);
  }

  async #look(name: string): Promise<Found | undefined> {
    try {
      const { mtimeMs, birthtimeMs } = await stat(join(this.folder, name, 'metrics.jsonl'));
      return { name, updatedMs: mtimeMs, createdMs: birthtimeMs };
    } catch {
      return undefined;
    }
  }

  async #entryOf({ name, updatedMs, createdMs }: Found): Promise<RunEntry> {
    const about = { name, updatedMs, createdMs };
    if (name === this.live?.name && this.live.feed.view.phase !== 'finished')
      return { ...about, status: 'running' };
    const known = this.#summaries.get(name);
    const summary = known?.updatedMs === updatedMs ? known.summary : await this.summaryOf(name);
    if (summary === undefined) {
      const isAlive = Date.now() - updatedMs < ALIVE_MS;
      return { ...about, status: isAlive ? 'running' : 'broken off' };
    }
    remember(this.#summaries, name, { updatedMs, summary });
    return { ...about, status: summary.status ?? 'broken off', summary };
  }
}

interface Found {
  readonly name: string;
  readonly updatedMs: number;
  readonly createdMs: number;
}

/** Does something with each, some at a time. */
async function eachOf<T, R>(all: readonly T[], work: (one: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let start = 0; start < all.length; start += AT_ONCE)
    results.push(...(await Promise.all(all.slice(start, start + AT_ONCE).map(work))));
  return results;
}
