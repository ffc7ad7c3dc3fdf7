/** A recorded run told again, as fast as it happened or so many times faster. */
import type { GrowingLog } from './run-recording.ts';
import type { RunFeed } from './run-feed.ts';
import type { RunSummary } from '../runs/run-summary.ts';

/** Pauses of the run are cut to this, as it is told. */
const MAX_PAUSE_MS = 3_000;
/** What is due within so long is told together. */
const LEAST_PAUSE_MS = 20;

/** Pushes the events of a run into a feed at their times, until it is over or `signal` ends it. */
export async function replayInto(
  feed: RunFeed,
  log: GrowingLog,
  summary: Partial<RunSummary> | undefined,
  { speed, signal }: { readonly speed: number; readonly signal: AbortSignal },
): Promise<void> {
  let beforeMs: number | undefined;
  let owedMs = 0;
  for await (const events of log.read())
    for (const { event, timeMs } of events) {
      owedMs += Math.min(MAX_PAUSE_MS, Math.max(0, timeMs - (beforeMs ?? timeMs)) / speed);
      beforeMs = timeMs;
      if (owedMs >= LEAST_PAUSE_MS) {
        await pause(owedMs, signal);
        owedMs = 0;
      }
      if (signal.aborted) return;
      feed.push(event, timeMs);
    }
  log.tellDamage(feed);
  if (summary !== undefined)
    feed.end(summary.status ?? 'failed', summary.reason, feed.view.updatedMs);
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done, { once: true });
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    }
  });
}
