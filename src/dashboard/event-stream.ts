/** Server-sent events: the records of a feed to one browser, in bundles, as fast as it reads. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { RunFeed } from './run-feed.ts';
import { isOver } from './view/run-view.ts';

/** Records of so long a time go together. */
const BUNDLE_MS = 120;
/** Something is said so often, so that both ends notice when the other is gone. */
const BEAT_MS = 10_000;
/** A browser whose connection broke tries again after so long. */
const RETRY_MS = 1_000;
/** A browser that has so much to read gets no more; it comes again, and gets the whole view. */
const MAX_UNREAD_BYTES = 4 << 20;

/** The headers of a stream. */
export const STREAM_HEADERS = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-store',
} as const;

/**
 * Sends the view of a feed, or only what came after the last record that a browser has, then what
 * follows. Ends with the connection, or with the run.
 */
export function streamFeed(
  feed: RunFeed,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  let sentId = lastIdOf(feed, request);
  let timer: NodeJS.Timeout | undefined;
  const send = (): void => {
    timer = undefined;
    if (response.writableLength > MAX_UNREAD_BYTES) return void response.destroy();
    const records = sentId === undefined ? undefined : feed.since(sentId);
    if (records?.length !== 0) {
      const { view, nowMs } = feed;
      sentId = view.lastId;
      const id = `id: ${feed.id}.${sentId}\n`;
      response.write(
        records === undefined
          ? `event: view\n${id}data: ${JSON.stringify({ nowMs, view })}\n\n`
          : `${id}data: ${JSON.stringify({ nowMs, records })}\n\n`,
      );
    }
    if (isOver(feed.view)) response.end();
  };
  const unfollow = feed.follow(() => {
    // Who leads the run may be about to end, too.
    if (isOver(feed.view)) send();
    else timer ??= setTimeout(send, BUNDLE_MS);
  });
  response.write(`retry: ${RETRY_MS}\n\n`);
  const beat = setInterval(() => response.write(':\n\n'), BEAT_MS);
  response.once('close', () => {
    unfollow();
    clearTimeout(timer);
    clearInterval(beat);
  });
  send();
}

/** The last record that the browser has of this feed; undefined when it has to begin anew. */
function lastIdOf(feed: RunFeed, { headers }: IncomingMessage): number | undefined {
  const [feedId, id] = String(headers['last-event-id'] ?? '').split('.');
  return feedId === feed.id && /^\d+$/.test(id ?? '') ? Number(id) : undefined;
}
