/** Reading the health file of a run, once or again and again while the run writes it anew. */
import { statSync } from 'node:fs';
import type { Clock } from '../../base/clock.ts';
import { ConfigError } from '../../base/errors.ts';
import { type Anomaly, findAnomalies, STALLED_CHECKPOINTS } from './anomalies.ts';
import { parseWith, readKnownFile, wrongKind } from '../results/read-result.ts';
import { type Health, healthSchema } from '../results/result.ts';

/** A health file and how long ago it was written, milliseconds. */
export interface ReadHealth {
  readonly health: Health;
  readonly ageMs: number;
}

/** What the file says now. `wallNow` is milliseconds since 1970. Throws: ConfigError. */
export function readHealth(path: string, wallNow: () => number): ReadHealth {
  const file = readKnownFile(path);
  if (file.kind !== 'health')
    throw wrongKind(file, 'a health file, as `lockstep run` writes it while it trains');
  const health = parseWith(file, healthSchema);
  return { health, ageMs: Math.max(0, wallNow() - statSync(path).mtimeMs) };
}

/**
 * How a watch ended: the run is complete, told nothing new for too long, or never wrote; or the
 * user ended it.
 */
export type WatchEnd =
  | {
      readonly kind: 'complete' | 'timeout' | 'interrupted';
      readonly newest: Health;
      readonly history: readonly Health[];
    }
  | { readonly kind: 'no-file' }
  | { readonly kind: 'interrupted-early' };

/** Which file to follow, for how long, and who is told. */
export interface WatchOptions {
  readonly path: string;
  /** Without a new checkpoint for so long the watch ends. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly wallNow: () => number;
  /**
   * Every new checkpoint, with what has arisen: what is critical at once, a warning when it has
   * held for some time, since a few short steps of a busy machine look like a slow worker.
   */
  readonly onCheckpoint: (health: Health, risen: readonly Anomaly[]) => void;
  readonly signal: AbortSignal;
}

/** A warning is told once so many checkpoints in a row have it, over at least this time. */
const WARNING_CHECKPOINTS = 3;
const WARNING_MS = 2_000;
/** Between two looks at the file. */
const POLL_MS = 100;
/** A file that is written in place, by a program that does not rename, is whole after this. */
const HALF_WRITTEN_MS = 2_000;

/**
 * Follows a health file until its run is complete. Throws: ConfigError when it stays unreadable.
 */
export async function watchHealth(options: WatchOptions): Promise<WatchEnd> {
  const { path, timeoutMs, clock, wallNow, onCheckpoint, signal } = options;
  const history: Health[] = [];
  const streaks = new Streaks();
  let newsMs = clock.now();
  let badSinceMs: number | undefined;
  for (;;) {
    const newest = history.at(-1);
    if (signal.aborted)
      return newest === undefined
        ? { kind: 'interrupted-early' }
        : { kind: 'interrupted', newest, history };
    try {
      const health = readNew(path, newest, wallNow);
      badSinceMs = undefined;
      if (health !== undefined) {
        newsMs = clock.now();
        // Another run writes to the same file: what was before says nothing of it.
        if (newest !== undefined && newest.run_id !== health.run_id) history.length = 0;
        history.push(health);
        if (history.length > STALLED_CHECKPOINTS) history.shift();
        const anomalies = findAnomalies({ checkpoints: history, ageMs: 0 });
        onCheckpoint(health, streaks.update(anomalies, newsMs));
        if (health.is_complete) return { kind: 'complete', newest: health, history };
      }
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      badSinceMs ??= clock.now();
      if (clock.now() - badSinceMs > HALF_WRITTEN_MS) throw error;
    }
    if (clock.now() - newsMs >= timeoutMs) {
      const last = history.at(-1);
      return last === undefined ? { kind: 'no-file' } : { kind: 'timeout', newest: last, history };
    }
    await pause(clock, signal);
  }
}

/** The file's content when it is there and another than `newest`. */
function readNew(
  path: string,
  newest: Health | undefined,
  wallNow: () => number,
): Health | undefined {
  if (statSync(path, { throwIfNoEntry: false }) === undefined) return undefined;
  const { health } = readHealth(path, wallNow);
  const isSame =
    newest !== undefined &&
    newest.run_id === health.run_id &&
    newest.timestamp === health.timestamp &&
    newest.completed_steps === health.completed_steps &&
    newest.is_complete === health.is_complete;
  return isSame ? undefined : health;
}

/** How long anomalies have held, so that each is told once. */
class Streaks {
  #streaks = new Map<
    string,
    { readonly count: number; readonly sinceMs: number; readonly isTold: boolean }
  >();

  /** Those of a new checkpoint that are to be told now. */
  update(anomalies: readonly Anomaly[], nowMs: number): Anomaly[] {
    const before = this.#streaks;
    this.#streaks = new Map();
    return anomalies.filter((anomaly) => {
      const key = `${anomaly.type} ${anomaly.worker_id}`;
      const { count, sinceMs, isTold } = before.get(key) ?? {
        count: 0,
        sinceMs: nowMs,
        isTold: false,
      };
      const isLasting = count + 1 >= WARNING_CHECKPOINTS && nowMs - sinceMs >= WARNING_MS;
      const isDue = !isTold && (anomaly.severity === 'critical' || isLasting);
      this.#streaks.set(key, { count: count + 1, sinceMs, isTold: isTold || isDue });
      return isDue;
    });
  }
}

async function pause(clock: Clock, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const wake = (): void => {
      timer.cancel();
      signal.removeEventListener('abort', wake);
      resolve();
    };
    const timer = clock.after(POLL_MS, wake);
    signal.addEventListener('abort', wake);
  });
}
