import { createHash } from 'node:crypto';
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { DataError, messageOf } from '../../base/errors.ts';

/** The way to the network, as a parameter: `fetch` of the platform, or of a test. */
export interface WebAccess {
  readonly fetch: typeof globalThis.fetch;
  readonly clock: Clock;
  /** Aborts the download; what came so far stays for the next attempt. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds for one file over all mirrors and attempts, from the call. Default 600,000. */
  readonly deadlineMs?: number;
  /** Milliseconds without a byte after which an attempt is given up. Default 30,000. */
  readonly stallMs?: number;
}

/** What to fetch and how it must look. */
export interface Download {
  /** Mirrors, tried in order. */
  readonly addresses: readonly string[];
  /** Place of the file; its folder is made. */
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** Attempts per address; one that brought no byte is the last for its address. */
const MAX_ATTEMPTS = 4;

/**
 * Fetches a file into place, checked, and returns the address it came from.
 *
 * Effect: writes `<path>.part`, continues one that is there (HTTP Range), and renames it to `path`
 *         once length and SHA-256 are right. Several processes may do this at once: they write the
 *         same bytes to the same positions.
 * Throws: DataError saying what happened at every address.
 */
export async function downloadFile(download: Download, network: WebAccess): Promise<string> {
  const { clock, signal, deadlineMs = 600_000 } = network;
  const deadline = new AbortController();
  const timer = clock.after(deadlineMs, () =>
    deadline.abort(new DataError(`not finished within ${deadlineMs} ms`)),
  );
  const stop = signal === undefined ? deadline.signal : AbortSignal.any([signal, deadline.signal]);
  const failures: string[] = [];
  try {
    await mkdir(dirname(download.path), { recursive: true });
    for (const address of download.addresses) {
      const failure = await tryAddress(address, download, { ...network, signal: stop });
      if (failure === undefined) return address;
      failures.push(`${address}: ${failure}`);
      if (stop.aborted) break;
    }
  } catch (error) {
    failures.push(`${download.path}: ${messageOf(error)}`);
  } finally {
    timer.cancel();
  }
  throw new DataError(`downloading ${download.path}: ${failures.join('; ')}`, { failures });
}

/** What went wrong, or undefined when the file is in place. */
async function tryAddress(
  address: string,
  download: Download,
  network: WebAccess,
): Promise<string | undefined> {
  let failure = 'no attempt';
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const before = await sizeOf(partOf(download));
    try {
      await fetchRest(address, download, network);
      const wrong = await putInPlace(download);
      if (wrong === undefined) return undefined;
      failure = wrong;
      // What was continued may have been bad before: only a whole file condemns the address.
      if (before === 0) return failure;
    } catch (error) {
      // Another process may have been faster.
      if ((await sizeOf(download.path)) === download.bytes) return undefined;
      failure = causeOf(error);
      if (network.signal?.aborted === true || (await sizeOf(partOf(download))) <= before)
        return failure;
    }
  }
  return failure;
}

function partOf(download: Download): string {
  return `${download.path}.part`;
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch {
    return 0; // Not begun.
  }
}

/** Appends what is missing of the part file. */
async function fetchRest(address: string, download: Download, network: WebAccess): Promise<void> {
  const size = await sizeOf(partOf(download));
  if (size > download.bytes) await rm(partOf(download), { force: true });
  if (size === download.bytes) return;
  const have = size > download.bytes ? 0 : size;
  await withStallWatch(network, async (signal, progress) => {
    const headers = {
      'accept-encoding': 'identity',
      ...(have > 0 ? { range: `bytes=${have}-` } : {}),
    };
    const response = await network.fetch(address, { headers, signal, redirect: 'follow' });
    progress();
    const from = firstByteOf(response, have);
    if (response.body === null) throw new DataError('the answer has no body');
    await writeBody(response.body, from, download, progress);
  });
}

/** The position of the first byte the server sends. */
function firstByteOf(response: Response, have: number): number {
  if (response.status === 200) return 0;
  const range = /^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '');
  if (response.status === 206 && have > 0 && range !== null && Number(range[1]) === have)
    return have;
  throw new DataError(
    `HTTP status ${response.status}${response.statusText && ` ${response.statusText}`}`,
  );
}

async function writeBody(
  body: ReadableStream<Uint8Array>,
  from: number,
  download: Download,
  progress: () => void,
): Promise<void> {
  const file = await openForWriting(partOf(download));
  try {
    let position = from;
    for await (const chunk of untilBroken(body, () => position, download)) {
      progress();
      if (position + chunk.length > download.bytes)
        throw new DataError(`expected ${download.bytes} bytes, the server sends more`);
      let written = 0;
      while (written < chunk.length)
        written += (await file.write(chunk, written, chunk.length - written, position + written))
          .bytesWritten;
      position += chunk.length;
    }
    if (position < download.bytes)
      throw new DataError(
        `expected ${download.bytes} bytes, the connection ended after ${position}`,
      );
  } finally {
    await file.close();
  }
}

/** The chunks of `body`; when the connection breaks, an error that says how far it came. */
async function* untilBroken(
  body: ReadableStream<Uint8Array>,
  position: () => number,
  { bytes }: Download,
): AsyncGenerator<Uint8Array, void> {
  try {
    for await (const chunk of body) yield chunk;
  } catch (error) {
    if (error instanceof DataError) throw error;
    throw new DataError(
      `the connection broke after ${position()} of ${bytes} bytes (${causeOf(error)}); the ` +
        'next run continues there',
      {},
      { cause: error },
    );
  }
}

/** Opens without emptying, so that a second process does not undo the first one's work. */
async function openForWriting(path: string): Promise<FileHandle> {
  await (await open(path, 'a')).close();
  return open(path, 'r+');
}

/**
 * Renames the part file when its content is right; otherwise removes it and says what was wrong.
 */
async function putInPlace(download: Download): Promise<string | undefined> {
  const part = partOf(download);
  const content = await readFile(part);
  const found = createHash('sha256').update(content).digest('hex');
  if (found === download.sha256 && content.length === download.bytes) {
    await rename(part, download.path);
    return undefined;
  }
  await rm(part, { force: true });
  return (
    `expected ${download.bytes} bytes with SHA-256 ${download.sha256}, got ${content.length} ` +
    `bytes with SHA-256 ${found}`
  );
}

/**
 * Runs `action` with a signal that fires with the caller's or after `stallMs` without `progress`.
 */
async function withStallWatch(
  network: WebAccess,
  action: (signal: AbortSignal, progress: () => void) => Promise<void>,
): Promise<void> {
  const { clock, signal, stallMs = 30_000 } = network;
  const stalled = new AbortController();
  const startTimer = () =>
    clock.after(stallMs, () => stalled.abort(new DataError(`no data for ${stallMs} ms`)));
  let timer = startTimer();
  const progress = () => {
    timer.cancel();
    timer = startTimer();
  };
  try {
    await action(
      signal === undefined ? stalled.signal : AbortSignal.any([signal, stalled.signal]),
      progress,
    );
  } finally {
    timer.cancel();
  }
}

/** `fetch failed` alone says nothing: the reason is in its cause. */
function causeOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause === undefined ? messageOf(error) : `${messageOf(error)} (${messageOf(cause)})`;
}
